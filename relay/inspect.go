package relay

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/internal/deadletter"
)

// Inspection is what [Relay.Inspect] found.
type Inspection struct {
	// StreamExists and BucketExists say what is there.
	StreamExists, BucketExists, DeadLettersExist bool
	// Faults make the stream unusable, or keep it from being created: see [StreamError].
	Faults []string
	// Drift is where the stream differs from the configuration and may.
	Drift []string
	// Changes are what [Relay.Prepare] would do.
	Changes []string
}

// Inspect is [Relay.Prepare] without doing anything: it says what is there, what
// is wrong with it, and what would be changed. The error is one of asking.
func (r *Relay) Inspect(ctx context.Context) (in Inspection, err error) {
	if err := CheckServer(r.cfg.Conn); err != nil {
		return in, err
	}
	stream, err := r.js.Stream(ctx, r.cfg.Stream)
	switch {
	case err == nil:
		in.StreamExists = true
		have := stream.CachedInfo().Config
		var addSubject bool
		if in.Faults, addSubject = r.judge(have); addSubject {
			in.Changes = append(in.Changes, "add subject "+r.store.Subject()+" to stream "+r.cfg.Stream)
		}
		in.Drift = r.drift(have)
	case !errors.Is(err, jetstream.ErrStreamNotFound):
		return in, fmt.Errorf("look up stream %s: %w", r.cfg.Stream, err)
	case r.cfg.Manage:
		if in.Faults, err = r.takenSubjects(ctx); err != nil {
			return in, err
		}
		in.Changes = append(in.Changes, "create stream "+r.cfg.Stream)
	}
	_, err = r.js.KeyValue(ctx, binjet.CheckpointBucket)
	in.BucketExists = err == nil
	if err != nil && !errors.Is(err, jetstream.ErrBucketNotFound) {
		return in, fmt.Errorf("open bucket %s: %w", binjet.CheckpointBucket, err)
	}
	if !in.BucketExists && r.cfg.Manage {
		in.Changes = append(in.Changes, "create bucket "+binjet.CheckpointBucket)
	}
	_, err = r.js.Stream(ctx, deadletter.Stream(r.cfg.Stream))
	if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return in, fmt.Errorf("look up stream %s: %w", deadletter.Stream(r.cfg.Stream), err)
	}
	in.DeadLettersExist = err == nil
	if !in.DeadLettersExist && r.cfg.Manage && r.cfg.OnInvalid == Quarantine {
		in.Changes = append(in.Changes, "create stream "+deadletter.Stream(r.cfg.Stream))
	}
	return in, nil
}

// takenSubjects says which other streams hold subjects that a stream to be
// created needs: the broker refuses two streams with one subject.
func (r *Relay) takenSubjects(ctx context.Context) (faults []string, err error) {
	for _, subject := range r.streamConfig().Subjects {
		names := r.js.StreamNames(ctx, jetstream.WithStreamListSubject(subject))
		for name := range names.Name() {
			faults = append(faults, fmt.Sprintf("stream %s already takes subjects of %s, so stream %s can't be created", name, subject, r.cfg.Stream))
		}
		if err := names.Err(); err != nil && !errors.Is(err, jetstream.ErrEndOfData) {
			return nil, fmt.Errorf("look for streams with subject %s: %w", subject, err)
		}
	}
	return faults, nil
}
