package consumer

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/internal/natstest"
)

// allTopics are those of up to n tokens out of three.
func allTopics(n int) (topics []string) {
	level := []string{"a", "b", "c"}
	for range n {
		topics = append(topics, level...)
		var longer []string
		for _, t := range level {
			longer = append(longer, t+".a", t+".b", t+".c")
		}
		level = longer
	}
	return topics
}

// allPatterns are those of up to three tokens out of a, b, * and a last >. The
// topics' third token is in none, as most tokens of the world are.
func allPatterns() (patterns []string) {
	level := []string{""}
	for range 3 {
		var longer []string
		for _, p := range level {
			patterns = append(patterns, p+">")
			for _, token := range []string{"a", "b", "*"} {
				patterns = append(patterns, p+token)
				longer = append(longer, p+token+".")
			}
		}
		level = longer
	}
	return patterns
}

func TestOverlapAgreesWithBruteForce(t *testing.T) {
	patterns, topics := allPatterns(), allTopics(4)
	fits := make(map[string][]bool)
	for _, p := range patterns {
		if err := checkPattern(p); err != nil {
			t.Fatal(err)
		}
		for _, topic := range topics {
			fits[p] = append(fits[p], matches(strings.Split(p, "."), strings.Split(topic, ".")))
		}
	}
	for _, p := range patterns {
		for _, q := range patterns {
			want := false
			for i := range topics {
				want = want || fits[p][i] && fits[q][i]
			}
			if got := overlap(strings.Split(p, "."), strings.Split(q, ".")); got != want {
				t.Errorf("overlap(%s, %s) is %t, brute force says %t", p, q, got, want)
			}
		}
	}
}

// What the broker delivers for a pattern's filter is what matches says.
func TestFiltersDeliverWhatMatches(t *testing.T) {
	js, err := jetstream.New(natstest.Start(t).Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	topics := allTopics(4)
	for _, partitions := range []int{0, 3} {
		prefix := fmt.Sprint("outbox", partitions)
		stream, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: prefix, Subjects: []string{prefix + ".>"}, Storage: jetstream.MemoryStorage})
		if err != nil {
			t.Fatal(err)
		}
		for _, topic := range topics {
			if _, err := js.Publish(t.Context(), binjet.Subject(prefix, topic, topic, partitions), nil); err != nil {
				t.Fatal(err)
			}
		}
		for _, p := range allPatterns() {
			var want []string
			for _, topic := range topics {
				if matches(strings.Split(p, "."), strings.Split(topic, ".")) {
					want = append(want, topic)
				}
			}
			filter := filters(prefix, partitions > 0, []*route{{pattern: p}})
			if got := passing(t, stream, prefix, filter, partitions > 0); !slices.Equal(got, want) {
				t.Errorf("%v delivers %v, want %v", filter, got, want)
			}
		}
	}
}

// passing are the topics of all messages that pass the filter.
func passing(t *testing.T, stream jetstream.Stream, prefix string, filter []string, partitioned bool) (topics []string) {
	t.Helper()
	cons, err := stream.CreateConsumer(t.Context(), jetstream.ConsumerConfig{FilterSubjects: filter, AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true})
	if err != nil {
		t.Fatal(err)
	}
	n := int(cons.CachedInfo().NumPending)
	if n == 0 {
		return nil
	}
	batch, err := cons.Fetch(n)
	if err != nil {
		t.Fatal(err)
	}
	for m := range batch.Messages() {
		topics = append(topics, topicOf(m.Subject(), prefix, partitioned))
	}
	if err := batch.Error(); err != nil {
		t.Fatal(err)
	}
	return topics
}

func FuzzPattern(f *testing.F) {
	f.Add("orders.*", "orders.created")
	f.Add(">", "a.b")
	f.Fuzz(func(t *testing.T, pattern, topic string) {
		if checkPattern(pattern) != nil || binjet.CheckTopic(topic) != nil {
			return
		}
		p, q := strings.Split(pattern, "."), strings.Split(topic, ".")
		if matches(p, q) != overlap(p, q) || overlap(p, q) != overlap(q, p) {
			t.Fatalf("%s and %s: a topic is the pattern of itself", pattern, topic)
		}
	})
}
