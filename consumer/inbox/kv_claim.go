package inbox

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// kvTries is how often a change is tried against others that change the same key.
const kvTries = 5

// markPause is the wait before a mark is tried again.
const markPause = 50 * time.Millisecond

// kvClaim is one message taken by this process.
type kvClaim struct {
	kv     *KV
	bucket *kvBucket
	key    string
	nonce  string
	local  Claim
	stop   func() // ends the renewal and waits for it

	revision uint64 // the last known; the renewal's own until it is stopped
	beat     int
}

func (c *kvClaim) record(state string) kvRecord {
	r := kvRecord{State: state, By: c.kv.instance, Nonce: c.nonce}
	if state == kvClaimed {
		r.Beat, r.Lease = c.beat, c.kv.cfg.Lease.String()
	}
	return r
}

// put is one request.
func (c *kvClaim) put(ctx context.Context, state string, over uint64) error {
	ctx, cancel := context.WithTimeout(ctx, c.kv.cfg.Timeout)
	defer cancel()
	revision, err := c.bucket.put(ctx, c.key, c.record(state), over)
	if err == nil {
		c.revision = revision
	}
	return err
}

func (c *kvClaim) get(ctx context.Context) (kvHeld, error) {
	ctx, cancel := context.WithTimeout(ctx, c.kv.cfg.Timeout)
	defer cancel()
	return c.bucket.get(ctx, c.key)
}

// take writes the claim where there is none, where it was given back, or where
// its holder is gone. Any other error than ErrDone and ErrBusy leaves open whether
// it was written; if so, the next claim by this process finds its own and takes it.
func (c *kvClaim) take(ctx context.Context) error {
	err := c.put(ctx, kvClaimed, 0) // what it mostly is: a new message
	for try := 1; errors.Is(err, errRefused) && try <= kvTries; try++ {
		held, readErr := c.get(ctx)
		if readErr != nil {
			return readErr
		}
		switch {
		case held.State == kvDone:
			return ErrDone
		case held.Nonce == c.nonce: // stored although it was refused
			c.revision = held.revision
			return nil
		case held.State == kvClaimed && held.By != c.kv.instance:
			if err := c.wait(ctx, held); err != nil {
				return err
			}
		}
		// Free; or claimed by this process, where nothing runs for it: a claim that
		// was not told that it succeeded, or could not be given back.
		err = c.put(ctx, kvClaimed, held.revision)
	}
	return err
}

// wait refuses as long as another process's claim holds. The claim's own lease
// counts, for by that it is renewed.
func (c *kvClaim) wait(ctx context.Context, held kvHeld) error {
	ctx, cancel := context.WithTimeout(ctx, c.kv.cfg.Timeout)
	defer cancel()
	now, err := c.bucket.now(ctx)
	if err != nil {
		return err
	}
	lease, err := time.ParseDuration(held.Lease)
	if err != nil {
		return fmt.Errorf("key %s: its lease: %w", c.key, err)
	}
	if left := lease - now.Sub(held.stored); left > 0 {
		return &BusyError{After: left}
	}
	return nil
}

// startBeats renews the claim until c.stop is called.
func (c *kvClaim) startBeats() {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { c.beats(ctx) })
	c.stop = func() { cancel(); running.Wait() }
}

func (c *kvClaim) beats(ctx context.Context) {
	tick := time.NewTicker(c.kv.cfg.Lease / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		c.beat++
		err := c.put(ctx, kvClaimed, c.revision)
		if errors.Is(err, nats.ErrConnectionClosed) {
			return // for good
		}
		if !errors.Is(err, errRefused) {
			continue // renewed, or unknown: the next one tells
		}
		held, err := c.get(ctx)
		switch {
		case err != nil:
		case held.Nonce == c.nonce: // stored without our knowing
			c.revision = held.revision
		default:
			return // taken over
		}
	}
}

// Done marks the message whatever became of the claim: it was handled. When that
// fails, this process remembers it, and tries again when it meets the message.
func (c *kvClaim) Done(ctx context.Context) error {
	c.stop()
	if err := c.mark(ctx); err != nil {
		_ = c.local.Done(ctx) // it never fails
		return fmt.Errorf("inbox: mark key %s of bucket %s as done: %w", c.key, c.bucket.name, err)
	}
	return c.local.Release(ctx)
}

// mark goes on trying for the time of one request, through a change of leader too.
func (c *kvClaim) mark(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.kv.cfg.Timeout)
	defer cancel()
	for over := c.revision; ; {
		err := c.put(ctx, kvDone, over)
		if err == nil {
			return nil
		}
		held, readErr := c.get(ctx)
		switch {
		case readErr == nil && held.State == kvDone:
			return nil
		case readErr == nil:
			over = held.revision
		}
		select {
		case <-time.After(markPause):
		case <-ctx.Done():
			return err
		}
	}
}

// Release gives back what is still this claim's, and leaves alone what is not.
func (c *kvClaim) Release(ctx context.Context) error {
	c.stop()
	defer func() { _ = c.local.Release(ctx) }() // it never fails
	err := c.put(ctx, kvFree, c.revision)
	for try := 1; errors.Is(err, errRefused) && try <= kvTries; try++ {
		held, readErr := c.get(ctx)
		if readErr != nil {
			err = readErr
			break
		}
		if held.Nonce != c.nonce || held.State != kvClaimed {
			return nil
		}
		err = c.put(ctx, kvFree, held.revision)
	}
	if err != nil {
		return fmt.Errorf("inbox: give key %s of bucket %s back: %w", c.key, c.bucket.name, err)
	}
	return nil
}
