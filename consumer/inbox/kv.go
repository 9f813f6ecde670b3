package inbox

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Defaults of [KVConfig].
const (
	DefaultLease     = 30 * time.Second
	DefaultKVTimeout = 5 * time.Second
)

// KVBucketPrefix and a consumer's name are the name of its bucket.
const KVBucketPrefix = "binjet-inbox-"

// unmarkedLimit is how many messages one process remembers whose mark could not be written.
const unmarkedLimit = 10_000

// KVConfig configures an inbox in JetStream key-value buckets. The zero value
// keeps marks for ever, in a file of one server.
type KVConfig struct {
	// Retention is how long a mark is kept; it is the bucket's time to live. A
	// message that is delivered again later than this is handled again, so the
	// consumer refuses to start unless it is longer than the stream keeps messages
	// (or than what consumer.Config.ReplayHorizon states). Default: 0, for ever.
	Retention time.Duration
	// Lease is after how long a claim of a process that died may be taken over. It
	// is renewed three times in that span while the handler runs, however long
	// that takes. A process that is frozen for longer loses its claim and does
	// not know. Default: 30 s, at least 1 s.
	Lease time.Duration
	// Timeout bounds each request to the broker. Default: 5 s.
	Timeout time.Duration
	// Replicas is how many servers hold a bucket that is created. Default: 1.
	Replicas int
	// Unmanaged stops the inbox from creating buckets, and from raising the time to
	// live of one that is shorter than Retention. Default: false.
	Unmanaged bool
}

func (c KVConfig) withDefaults() (KVConfig, error) {
	c.Lease = cmp.Or(c.Lease, DefaultLease)
	c.Timeout = cmp.Or(c.Timeout, DefaultKVTimeout)
	c.Replicas = cmp.Or(c.Replicas, 1)
	switch {
	case c.Retention < 0:
		return c, fmt.Errorf("retention %s: give a positive time, or 0 to keep marks for ever", c.Retention)
	case c.Lease < time.Second:
		return c, fmt.Errorf("lease %s: at least 1s is needed", c.Lease)
	case c.Retention > 0 && c.Retention < 2*c.Lease:
		return c, fmt.Errorf("retention %s: at least twice the lease of %s is needed", c.Retention, c.Lease)
	case c.Timeout < 0 || c.Replicas < 0:
		return c, fmt.Errorf("timeout %s and %d replicas: give positive numbers", c.Timeout, c.Replicas)
	}
	return c, nil
}

// KV is an [Inbox] in JetStream: a bucket for each consumer, binjet-inbox-<consumer>,
// with one key per message ID, so that all processes of the consumer suppress
// duplicates together and over restarts. It is safe for concurrent use.
//
// A message costs two writes to the bucket: the claim and the mark. A claim is held
// by one process, and renewed while its handler runs; when that process dies,
// another one may take the claim over after the lease. Its age is the time that
// the broker gave the last renewal, subtracted from the time by the broker's clock
// now, both as the bucket's leader says: clocks of processes have no say, and any
// process can tell, however short it has been running. Only where the leader
// changed meanwhile are these the clocks of two servers; if they differ by more
// than two thirds of a lease, a claim may be taken from one that is alive, and its
// handler runs twice.
//
// Every change is a compare-and-set on the key's last revision, and reads that
// decide are made at the bucket's leader.
type KV struct {
	js       jetstream.JetStream
	cfg      KVConfig
	instance string
	// local knows what runs in this process, and what was handled here and could
	// not be marked.
	local *Memory

	mu      sync.Mutex
	buckets map[string]*kvBucket // by consumer
}

// NewKV returns an inbox; it does not talk to the broker yet.
func NewKV(js jetstream.JetStream, cfg KVConfig) (*KV, error) {
	if js == nil {
		return nil, errors.New("inbox: the JetStream context is nil")
	}
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("inbox: KV: %w", err)
	}
	return &KV{js: js, cfg: cfg, instance: rand.Text(), local: NewMemory(unmarkedLimit), buckets: map[string]*kvBucket{}}, nil
}

// Retention is how long a mark is kept at least; 0 is for ever.
func (k *KV) Retention() time.Duration { return k.cfg.Retention }

// BusyError is [ErrBusy] with the time that is left until the other claim may be
// taken over, if it is not renewed.
type BusyError struct{ After time.Duration }

func (e *BusyError) Error() string { return ErrBusy.Error() }

// Unwrap returns [ErrBusy].
func (e *BusyError) Unwrap() error { return ErrBusy }

// Claim implements [Inbox]. When another process holds the message the error is a
// [BusyError].
func (k *KV) Claim(ctx context.Context, consumer, id string) (Claim, error) {
	if err := checkMarks(consumer, id); err != nil {
		return nil, err
	}
	b, err := k.bucket(ctx, consumer)
	if err != nil {
		return nil, err
	}
	c := &kvClaim{kv: k, bucket: b, key: kvKey(id), nonce: rand.Text()}
	c.local, err = k.local.Claim(ctx, consumer, id)
	switch {
	case errors.Is(err, ErrDone): // handled here, and not marked yet
		c.mark(ctx)
		return nil, ErrDone
	case err != nil:
		return nil, err
	}
	if err := c.take(ctx); err != nil {
		_ = c.local.Release(ctx) // it never fails
		if errors.Is(err, ErrDone) || errors.Is(err, ErrBusy) {
			return nil, err
		}
		return nil, fmt.Errorf("inbox: claim message %s in bucket %s: %w", id, b.name, err)
	}
	c.startBeats()
	return c, nil
}

// Prepare opens the consumer's bucket, or creates it. The error is a
// [SchemaError] when the bucket can't be an inbox. consumer.Consumer.Run calls it
// at the start; without that, the first claim does the same.
func (k *KV) Prepare(ctx context.Context, consumer string) error {
	if err := checkMarks(consumer); err != nil {
		return err
	}
	_, err := k.bucket(ctx, consumer)
	return err
}

// bucket opens a consumer's bucket once.
func (k *KV) bucket(ctx context.Context, consumer string) (*kvBucket, error) {
	k.mu.Lock()
	b := k.buckets[consumer]
	if b == nil {
		b = newKVBucket(k.js, KVBucketPrefix+consumer)
		k.buckets[consumer] = b
	}
	k.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, k.cfg.Timeout)
	defer cancel()
	if err := b.open(ctx, k.js, k.cfg); err != nil {
		return nil, fmt.Errorf("inbox: %w", err)
	}
	return b, nil
}
