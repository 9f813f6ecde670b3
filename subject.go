package binjet

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
)

// Defaults of the names on the broker.
const (
	DefaultStream        = "OUTBOX"
	DefaultSubjectPrefix = "outbox"
	CheckpointPrefix     = "binjet.checkpoint" // + "." + source
	CheckpointBucket     = "binjet-checkpoints"
	InboxBucketPrefix    = "binjet-inbox-" // + consumer
	ConsumerBucket       = "binjet-consumers"
	MetadataPartitions   = "binjet.partitions"
)

// CheckTopic reports why topic can't be the tail of a subject: it is one or more
// tokens of printable ASCII divided by single dots, without the wildcards * and
// >, at most 255 bytes.
func CheckTopic(topic string) error {
	if plainTopic(topic) {
		return nil
	}
	switch {
	case topic == "":
		return fmt.Errorf("topic is empty")
	case len(topic) > MaxTopicLength:
		return fmt.Errorf("topic is %d bytes, more than %d", len(topic), MaxTopicLength)
	case strings.IndexFunc(topic, notPrintable) >= 0:
		return fmt.Errorf("topic %q holds white space, a control or a non-ASCII character", topic)
	case strings.ContainsAny(topic, "*>"):
		return fmt.Errorf("topic %q holds a wildcard (* or >)", topic)
	case strings.HasPrefix(topic, ".") || strings.HasSuffix(topic, ".") || strings.Contains(topic, ".."):
		return fmt.Errorf("topic %q has an empty token: dots divide tokens and stand neither first nor last", topic)
	}
	return nil
}

// plainTopic is CheckTopic in one pass, for the path of every event.
func plainTopic(topic string) bool {
	if topic == "" || len(topic) > MaxTopicLength {
		return false
	}
	last := byte('.')
	for i := range len(topic) {
		c := topic[i]
		if c <= ' ' || c >= 0x7f || c == '*' || c == '>' || c == '.' && last == '.' {
			return false
		}
		last = c
	}
	return last != '.'
}

// CheckToken reports why s can't be one token of a subject, such as the name of
// a source: letters, digits, '-' and '_' only, 1 to 64 of them.
func CheckToken(s string) error {
	if s == "" || len(s) > 64 {
		return fmt.Errorf("%q is %d characters: 1 to 64 are allowed", s, len(s))
	}
	for _, r := range s {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_') {
			return fmt.Errorf("%q holds %q: only letters, digits, '-' and '_' are allowed", s, r)
		}
	}
	return nil
}

// CheckPrefix reports why s can't be a subject prefix: a topic that is not the
// broker's own ($…) and does not cover the checkpoints.
func CheckPrefix(s string) error {
	if err := CheckTopic(s); err != nil {
		return fmt.Errorf("subject prefix: %w", err)
	}
	if strings.HasPrefix(s, "$") || s == "_INBOX" || strings.HasPrefix(s, "_INBOX.") || s == "binjet" || strings.HasPrefix(s, "binjet.") {
		return fmt.Errorf("subject prefix %q is the broker's or binjet's own", s)
	}
	return nil
}

// Subject is where an event is published: prefix.topic, or prefix.p.topic when
// the stream has partitions, p being [Partition] of the key.
func Subject(prefix, topic, key string, partitions int) string {
	if partitions > 0 {
		return prefix + "." + strconv.Itoa(Partition(key, partitions)) + "." + topic
	}
	return prefix + "." + topic
}

// Partition is FNV-1a (32 bit) of key modulo n. Messages without a key share
// one partition, which is that of the empty string.
func Partition(key string, n int) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(key))
	return int(h.Sum32() % uint32(n))
}

// CheckpointSubject is the one literal subject of a source's checkpoint.
func CheckpointSubject(source string) string { return CheckpointPrefix + "." + source }
