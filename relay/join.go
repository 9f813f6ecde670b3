package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/internal/pause"
)

// A lock that was not released is one of a process that died, once it has not
// changed for so long on the clock of the one that waits.
const staleLock = 5 * time.Second

// join adds this source's checkpoint subject to the stream. The broker has no
// compare-and-set for a stream's configuration: of two sources that join at once
// one takes out the other's subject, and a server that is alone may even end up
// with a subject in its configuration that it does not take. So only one source
// at a time may, which is a lock in the bucket of checkpoint copies. It is no
// fence: what happens in spite of it, the first commit tells, by [errUnrouted].
func (r *Relay) join(ctx context.Context) error {
	if err := r.ensureBucket(ctx); err != nil {
		return err
	}
	unlock, err := r.lock(ctx)
	if err != nil {
		return fmt.Errorf("wait for others to change stream %s: %w", r.cfg.Stream, err)
	}
	defer unlock()
	for {
		have, missing, err := r.configured(ctx)
		if err != nil || !missing {
			return err
		}
		if err := r.setSubjects(ctx, have, append(slices.Clone(have.Subjects), r.store.Subject())); err != nil {
			return err
		}
		r.log.Info("added this source's checkpoint subject to the stream", slog.String("stream", have.Name))
	}
}

// rejoin is for a stream that does not take our subject. It is joined; where the
// configuration holds the subject all the same, it is taken out and added again,
// which makes the server listen to it.
func (r *Relay) rejoin(ctx context.Context) error {
	have, missing, err := r.configured(ctx)
	if err != nil {
		return err
	}
	subject := r.store.Subject()
	if !missing && r.cfg.Manage && have.Metadata[metadataPrefix] == r.cfg.SubjectPrefix && slices.Contains(have.Subjects, subject) {
		if err := r.leave(ctx); err != nil {
			return err
		}
	}
	return r.ensure(ctx)
}

// leave takes this source's subject out of the stream's configuration.
func (r *Relay) leave(ctx context.Context) error {
	unlock, err := r.lock(ctx)
	if err != nil {
		return fmt.Errorf("wait for others to change stream %s: %w", r.cfg.Stream, err)
	}
	defer unlock()
	have, missing, err := r.configured(ctx)
	if err != nil || missing {
		return err
	}
	others := slices.DeleteFunc(slices.Clone(have.Subjects), func(s string) bool { return s == r.store.Subject() })
	return r.setSubjects(ctx, have, others)
}

// configured asks for the stream's configuration, and whether it lacks our subject.
func (r *Relay) configured(ctx context.Context) (have jetstream.StreamConfig, missing bool, err error) {
	stream, err := r.js.Stream(ctx, r.cfg.Stream)
	if err != nil {
		return have, false, fmt.Errorf("look at stream %s again: %w", r.cfg.Stream, err)
	}
	have = stream.CachedInfo().Config
	faults, missing := r.judge(have)
	if len(faults) > 0 {
		return have, false, &StreamError{Stream: have.Name, Faults: faults}
	}
	return have, missing, nil
}

func (r *Relay) setSubjects(ctx context.Context, have jetstream.StreamConfig, subjects []string) error {
	have.Subjects = subjects
	if _, err := r.js.UpdateStream(ctx, have); err != nil {
		return fmt.Errorf("set the subjects of stream %s to %v: %w", have.Name, subjects, err)
	}
	return nil
}

// lock waits until nobody else changes the stream.
func (r *Relay) lock(ctx context.Context) (unlock func(), err error) {
	kv, err := r.js.KeyValue(ctx, binjet.CheckpointBucket)
	if err != nil {
		return nil, err
	}
	key := "lock." + r.cfg.Stream // a source has no dot in its name
	var seen uint64
	var since time.Time
	for {
		rev, err := kv.Create(ctx, key, []byte(r.cfg.Instance))
		if errors.Is(err, jetstream.ErrKeyExists) && seen != 0 && time.Since(since) > staleLock {
			rev, err = kv.Update(ctx, key, []byte(r.cfg.Instance), seen) // whoever comes first
		}
		if err == nil {
			return func() { r.unlock(kv, key, rev) }, nil
		}
		if !errors.Is(err, jetstream.ErrKeyExists) {
			return nil, err
		}
		entry, err := kv.Get(ctx, key)
		switch {
		case err == nil && entry.Revision() != seen:
			seen, since = entry.Revision(), time.Now()
			r.log.Info("another source joins the stream; waiting for it", slog.String("instance", string(entry.Value())))
		case err != nil && !errors.Is(err, jetstream.ErrKeyNotFound):
			return nil, err
		}
		if err := pause.For(ctx, 10*time.Millisecond+rand.N(40*time.Millisecond)); err != nil {
			return nil, err
		}
	}
}

func (r *Relay) unlock(kv jetstream.KeyValue, key string, rev uint64) {
	ctx, cancel := context.WithTimeout(context.Background(), r.cfg.CommitTimeout)
	defer cancel()
	if err := kv.Purge(ctx, key, jetstream.LastRevision(rev)); err != nil {
		r.log.Warn("could not release the lock on the stream's configuration; others wait until it is stale", slog.Any("error", err))
	}
}
