package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/checkpoint/store"
	"github.com/binjet/binjet/internal/deadletter"
)

// MinServer is the oldest nats-server whose atomic batches can be trusted: the
// ones before could store a part of one.
const MinServer = "2.12.2"

// metadataPrefix marks a stream as binjet's, with the subject prefix it was made for.
const metadataPrefix = "binjet.prefix"

// StreamError says why a stream can't carry the outbox. Nothing was changed.
type StreamError struct {
	Stream string
	Faults []string
}

func (e *StreamError) Error() string {
	return fmt.Sprintf("stream %s can't be used: %s", e.Stream, strings.Join(e.Faults, "; "))
}

// CheckServer reports whether the connected server is new enough.
func CheckServer(nc *nats.Conn) error {
	version := nc.ConnectedServerVersion()
	if !nc.IsConnected() {
		return fmt.Errorf("not connected to NATS: %w", nats.ErrDisconnected)
	}
	if !atLeast(version, MinServer) {
		return fmt.Errorf("nats-server %s is older than %s, whose atomic batches are the first that are stored whole or not at all: upgrade it", version, MinServer)
	}
	return nil
}

// atLeast compares versions of the form 1.2.3, a suffix such as -RC.1 ignored.
func atLeast(version, least string) bool {
	parse := func(s string) (v [3]int) {
		s, _, _ = strings.Cut(strings.TrimPrefix(s, "v"), "-")
		for i, part := range strings.SplitN(s, ".", 3) {
			v[i], _ = strconv.Atoi(part)
		}
		return v
	}
	a, b := parse(version), parse(least)
	return slices.Compare(a[:], b[:]) >= 0
}

// Prepare checks the broker and, when Manage is on, creates what is missing: the
// stream, the bucket of checkpoint copies, and this source's subject in a stream
// of binjet's. What exists is never changed otherwise; drift is logged. It is
// idempotent, and [Relay.Run] begins with it.
func (r *Relay) Prepare(ctx context.Context) error { return r.ensure(ctx) }

func (r *Relay) ensure(ctx context.Context) error {
	if err := CheckServer(r.cfg.Conn); err != nil {
		return err
	}
	stream, err := r.js.Stream(ctx, r.cfg.Stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) && r.cfg.Manage {
		stream, err = r.createStream(ctx)
	}
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return fmt.Errorf("stream %s does not exist: create it by `binjet init`, or set stream.manage", r.cfg.Stream)
	case err != nil:
		return fmt.Errorf("look up stream %s: %w", r.cfg.Stream, err)
	default:
		if err := r.adopt(ctx, stream.CachedInfo().Config); err != nil {
			return err
		}
	}
	if !r.cfg.Manage {
		return nil
	}
	if err := r.ensureBucket(ctx); err != nil || r.cfg.OnInvalid != Quarantine {
		return err
	}
	created, err := deadletter.Ensure(ctx, r.js, r.cfg.Stream, r.cfg.Replicas)
	if created {
		r.log.Info("created the stream of dead letters", slog.String("stream", deadletter.Stream(r.cfg.Stream)))
	}
	return err
}

func (r *Relay) ensureBucket(ctx context.Context) error {
	created, err := store.EnsureBucket(ctx, r.js, r.cfg.Replicas)
	if created {
		r.log.Info("created the bucket of checkpoint copies", slog.String("bucket", binjet.CheckpointBucket))
	}
	return err
}

// createStream makes the stream; where another process was faster, it may have
// made it for another source.
func (r *Relay) createStream(ctx context.Context) (jetstream.Stream, error) {
	stream, err := r.js.CreateStream(ctx, r.streamConfig())
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return r.js.Stream(ctx, r.cfg.Stream)
	}
	if err != nil {
		return nil, fmt.Errorf("create stream %s: %w", r.cfg.Stream, err)
	}
	r.log.Info("created the stream", slog.String("stream", r.cfg.Stream))
	r.single.Store(r.cfg.Replicas == 1)
	return stream, nil
}

// adopt uses a stream that is there.
func (r *Relay) adopt(ctx context.Context, have jetstream.StreamConfig) error {
	faults, addSubject := r.judge(have)
	if len(faults) > 0 {
		return &StreamError{Stream: have.Name, Faults: faults}
	}
	r.maxMsgSize.Store(int64(have.MaxMsgSize))
	r.single.Store(have.Replicas == 1)
	if addSubject {
		if err := r.join(ctx); err != nil {
			return err
		}
	}
	for _, d := range r.drift(have) {
		r.log.Warn("the stream differs from the configuration; it is left as it is", slog.String("stream", have.Name), slog.String("difference", d))
	}
	return nil
}

// judge returns what makes the stream unusable, and whether it only lacks this
// source's subject and may be given it.
func (r *Relay) judge(have jetstream.StreamConfig) (faults []string, addSubject bool) {
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Sprintf(format, args...))
		}
	}
	fault(have.Retention != jetstream.LimitsPolicy, "its retention is %s, which drops messages that a consumer has not asked for or has taken: it must be limits", have.Retention)
	fault(!have.AllowAtomicPublish, "it does not allow atomic batches (allow_atomic)")
	fault(!have.AllowRollup, "it does not allow rollup headers (allow_rollup_hdrs)")
	fault(!have.AllowMsgTTL, "it does not allow messages with an expiry (allow_msg_ttl), which a producer may ask for")
	fault(have.DenyPurge, "it denies purges, which the checkpoint's rollup is (deny_purge)")
	fault(have.Sealed, "it is sealed")
	fault(have.Mirror != nil || len(have.Sources) > 0, "it is filled from other streams")
	fault(have.NoAck, "it acknowledges nothing (no_ack)")
	fault(have.Storage != jetstream.FileStorage, "it keeps messages in memory only (storage)")
	fault(have.SubjectTransform != nil, "it transforms subjects")
	fault(have.MaxMsgsPerSubject > 0, "it keeps only %d messages of each subject (max_msgs_per_subject)", have.MaxMsgsPerSubject)

	events := r.cfg.SubjectPrefix + ".>"
	covers := slices.ContainsFunc(have.Subjects, func(s string) bool { return subjectCovers(s, events) })
	mine := have.Metadata[metadataPrefix] == r.cfg.SubjectPrefix
	fault(!covers, "its subjects %v do not cover %s: it belongs to something else, choose another stream.name or stream.subject_prefix", have.Subjects, events)
	if want, got := partitionsOf(r.cfg.Partitions), have.Metadata[binjet.MetadataPartitions]; got != "" && got != want || got == "" && want != "0" {
		fault(true, "it was made with %s partitions, not the %s configured (stream.partitions): changing that would put a key's events on two subjects", or(got, "0"), want)
	}
	if !slices.ContainsFunc(have.Subjects, func(s string) bool { return subjectCovers(s, r.store.Subject()) }) {
		addSubject = mine && r.cfg.Manage
		fault(!addSubject, "its subjects %v do not hold this source's checkpoint subject %s: add it", have.Subjects, r.store.Subject())
	}
	return faults, addSubject
}

func partitionsOf(n int) string { return strconv.Itoa(n) }

func (r *Relay) drift(have jetstream.StreamConfig) (list []string) {
	if have.Replicas != r.cfg.Replicas {
		list = append(list, fmt.Sprintf("replicas: %d, configured %d", have.Replicas, r.cfg.Replicas))
	}
	return list
}

// StreamConfig is how a stream for these settings is made.
func (r *Relay) streamConfig() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:               r.cfg.Stream,
		Description:        "binjet: events of transactional outboxes and their checkpoints",
		Subjects:           []string{r.cfg.SubjectPrefix + ".>", r.store.Subject()},
		Retention:          jetstream.LimitsPolicy,
		Storage:            jetstream.FileStorage,
		Replicas:           r.cfg.Replicas,
		Discard:            jetstream.DiscardOld,
		AllowDirect:        true,
		AllowRollup:        true,
		AllowMsgTTL:        true,
		AllowAtomicPublish: true,
		Metadata: map[string]string{
			metadataPrefix:            r.cfg.SubjectPrefix,
			binjet.MetadataPartitions: partitionsOf(r.cfg.Partitions),
		},
	}
}

// subjectCovers reports whether every subject that matches want matches pattern.
func subjectCovers(pattern, want string) bool {
	p, w := strings.Split(pattern, "."), strings.Split(want, ".")
	for i, token := range p {
		if token == ">" {
			return len(w) > i
		}
		if i >= len(w) || w[i] == ">" || token != "*" && token != w[i] {
			return false
		}
	}
	return len(p) == len(w)
}
