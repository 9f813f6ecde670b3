package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/checkpoint"
)

// History is how many copies the bucket keeps of each source.
const History = 64

// Copy is a checkpoint as the key-value bucket holds it.
type Copy struct {
	Checkpoint checkpoint.Checkpoint `json:"checkpoint"`
	// Seq is where the stream held it; Stream and Created say which stream that was.
	Seq     uint64    `json:"seq"`
	Stream  string    `json:"stream"`
	Created time.Time `json:"created"`
}

// Copies is the bucket of checkpoint copies.
type Copies struct {
	kv     jetstream.KeyValue
	source string
}

// ErrNoBucket says that the bucket does not exist.
var ErrNoBucket = jetstream.ErrBucketNotFound

// OpenCopies returns the bucket, [ErrNoBucket] when there is none.
func OpenCopies(ctx context.Context, js jetstream.JetStream, source string) (*Copies, error) {
	kv, err := js.KeyValue(ctx, binjet.CheckpointBucket)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", binjet.CheckpointBucket, err)
	}
	return &Copies{kv: kv, source: source}, nil
}

// EnsureBucket creates the bucket when it is absent and leaves it alone otherwise.
func EnsureBucket(ctx context.Context, js jetstream.JetStream, replicas int) (created bool, err error) {
	if _, err = js.KeyValue(ctx, binjet.CheckpointBucket); err == nil {
		return false, nil
	}
	if !errors.Is(err, jetstream.ErrBucketNotFound) {
		return false, fmt.Errorf("open bucket %s: %w", binjet.CheckpointBucket, err)
	}
	_, err = js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket:      binjet.CheckpointBucket,
		Description: "binjet: copies of the checkpoints that lie in the streams",
		History:     History,
		Storage:     jetstream.FileStorage,
		Replicas:    max(replicas, 1),
	})
	if err != nil && !errors.Is(err, jetstream.ErrBucketExists) {
		return false, fmt.Errorf("create bucket %s: %w", binjet.CheckpointBucket, err)
	}
	return true, nil
}

// Put writes a copy.
func (c *Copies) Put(ctx context.Context, copied Copy) error {
	data, err := json.Marshal(copied)
	if err != nil {
		return fmt.Errorf("encode checkpoint copy: %w", err)
	}
	if _, err := c.kv.Put(ctx, c.source, data); err != nil {
		return fmt.Errorf("write checkpoint copy to bucket %s: %w", binjet.CheckpointBucket, err)
	}
	return nil
}

// List returns the copies that are kept, oldest first; none is no error.
func (c *Copies) List(ctx context.Context) ([]Copy, error) {
	entries, err := c.kv.History(ctx, c.source)
	if errors.Is(err, jetstream.ErrKeyNotFound) && ctx.Err() == nil {
		return nil, nil
	}
	if err == nil {
		err = ctx.Err() // it ends History without an error, maybe half way
	}
	if err != nil {
		return nil, fmt.Errorf("read checkpoint copies from bucket %s: %w", binjet.CheckpointBucket, err)
	}
	var list []Copy
	for _, e := range entries {
		if e.Operation() != jetstream.KeyValuePut {
			list = nil // an operator deleted the key, to begin anew
			continue
		}
		var one Copy
		if err := json.Unmarshal(e.Value(), &one); err != nil {
			return nil, fmt.Errorf("checkpoint copy %d in bucket %s: %w", e.Revision(), binjet.CheckpointBucket, err)
		}
		if one.Checkpoint.V > checkpoint.Version {
			return nil, fmt.Errorf("checkpoint copy %d in bucket %s: %w", e.Revision(), binjet.CheckpointBucket, checkpoint.ErrNewer)
		}
		list = append(list, one)
	}
	return list, nil
}
