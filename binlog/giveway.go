package binlog

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/binjet/binjet/internal/pause"
)

// giveWayAfter is how long a statement that changes an outbox table, and every
// writer behind it, may wait for a snapshot. It is longer than the tries of the
// tools for online changes, which time out by themselves.
const giveWayAfter = 5 * time.Second

// rival looks whether somebody waits for the pins of a snapshot, beside it: the
// snapshot itself may be waiting for the broker. It needs no privilege: who asks for
// a table that a change waits for has to wait, too.
type rival struct {
	*stream
	view    *session // is closed to let the change go first
	waiting time.Time
	gave    atomic.Bool
}

// watchRivals looks until stop, which waits for its end.
func (s *stream) watchRivals(ctx context.Context, view *session) (r *rival, stop func()) {
	r = &rival{stream: s, view: view}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.watch(ctx)
	}()
	return r, func() { cancel(); <-ended }
}

func (r *rival) watch(ctx context.Context) {
	var probe *session
	defer func() {
		if probe != nil {
			probe.close()
		}
	}()
	for !r.gave.Load() && pause.For(ctx, time.Second) == nil {
		var err error
		if probe == nil {
			if probe, err = r.prober(ctx); err != nil {
				r.log.Debug("can't look who waits for the snapshot", "error", err)
				continue
			}
		}
		if err = r.look(probe); err != nil {
			probe.close()
			probe = nil
		}
	}
}

func (r *rival) prober(ctx context.Context) (*session, error) {
	c, err := r.connect(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := c.rows(fmt.Sprintf("SET SESSION lock_wait_timeout=%d", pinTimeout)); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// look asks for each table once, and gives way when one was waited for long enough.
func (r *rival) look(probe *session) error {
	asked := time.Now()
	for _, t := range r.tables.list {
		_, err := probe.rows("SELECT 1 FROM " + t.quoted() + " LIMIT 0")
		if err == nil {
			continue
		}
		if serverCode(err) != mysql.ER_LOCK_WAIT_TIMEOUT {
			return err
		}
		if r.waiting.IsZero() {
			r.waiting = asked
		}
		if time.Since(r.waiting) >= giveWayAfter {
			r.log.Warn("a statement that changes an outbox table waits for the snapshot, and writers behind it: letting it go first", "table", t.String())
			r.gave.Store(true)
			r.view.close()
		}
		return nil
	}
	r.waiting = time.Time{}
	return nil
}

// cause says why the snapshot's session ended, if it was us who ended it.
func (r *rival) cause(err error) error {
	if err == nil || !r.gave.Load() {
		return err
	}
	return fmt.Errorf("the snapshot gave way to a statement that changes an outbox table, and goes on behind it: %w", err)
}
