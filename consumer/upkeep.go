package consumer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/binjet/binjet/consumer/inbox"
)

// retentionMargin is by how much an inbox has to remember a message for longer
// than it can be delivered: a copy may be held by a process for a while.
const retentionMargin = time.Hour

// forgetful is an inbox that says how long it remembers; 0 is for ever. One that
// does not say makes no promise that could be checked.
type forgetful interface{ Retention() time.Duration }

// maintained is an inbox that has something to do while the consumer runs: it
// returns when ctx ends or there is nothing to do.
type maintained interface {
	Maintain(ctx context.Context, db *sql.DB, consumer string, log *slog.Logger)
}

// prepared is an inbox that can be made ready before the first message. An
// inbox.SchemaError says that it can't be used.
type prepared interface {
	Prepare(ctx context.Context, consumer string) error
}

var (
	_ forgetful  = (*inbox.SQL)(nil)
	_ maintained = (*inbox.SQL)(nil)
	_ forgetful  = (*inbox.KV)(nil)
	_ prepared   = (*inbox.KV)(nil)
)

// upkeep is what goes on beside the messages, from the first session on.
type upkeep struct {
	ctx     context.Context
	running sync.WaitGroup

	mu    sync.Mutex
	begun bool
}

// allowUpkeep lets the upkeep begin once the stream is known, and returns what ends it.
func (e *engine) allowUpkeep(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	e.upkeep.ctx = ctx
	return func() { cancel(); e.upkeep.running.Wait() }
}

// checkRetention refuses to begin with an inbox that forgets what the stream can
// still deliver, and lets the upkeep, which forgets, begin only then. A stream
// that keeps more from one session to the next does not end the consumer.
func (e *engine) checkRetention(maxAge time.Duration) error {
	e.upkeep.mu.Lock()
	defer e.upkeep.mu.Unlock()
	err := e.shortMemory(maxAge)
	switch {
	case err == nil && !e.upkeep.begun:
		e.beginUpkeep()
	case err != nil && !e.upkeep.begun:
		return &permanentError{err}
	case err != nil:
		e.log.Error("the stream was changed", slog.Any("error", err))
	}
	return nil
}

func (e *engine) beginUpkeep() {
	e.upkeep.begun = true
	in, ok := e.cfg.TxInbox.(maintained)
	if !ok {
		return
	}
	var seen []*sql.DB
	for _, r := range e.routes {
		if r.db == nil || slices.Contains(seen, r.db) {
			continue
		}
		seen = append(seen, r.db)
		e.upkeep.running.Go(func() { in.Maintain(e.upkeep.ctx, r.db, e.cfg.Name, e.log) })
	}
}

func (e *engine) prepareInbox(ctx context.Context) error {
	in, ok := e.cfg.Inbox.(prepared)
	if !ok || !slices.ContainsFunc(e.routes, func(r *route) bool { return r.db == nil }) {
		return nil
	}
	err := in.Prepare(ctx, e.cfg.Name)
	var unusable *inbox.SchemaError
	if errors.As(err, &unusable) {
		return &permanentError{err}
	}
	return err
}

// shortMemory is an error when an inbox in use forgets too early.
func (e *engine) shortMemory(maxAge time.Duration) error {
	inTx := func(r *route) bool { return r.db != nil }
	plain := func(r *route) bool { return r.db == nil }
	for _, used := range []struct {
		field string
		in    any
		by    func(*route) bool
	}{{"TxInbox", e.cfg.TxInbox, inTx}, {"Inbox", e.cfg.Inbox, plain}} {
		f, ok := used.in.(forgetful)
		if !ok || !slices.ContainsFunc(e.routes, used.by) {
			continue
		}
		if err := e.tooShort(used.field, f.Retention(), maxAge); err != nil {
			return err
		}
	}
	return nil
}

func (e *engine) tooShort(field string, retention, maxAge time.Duration) error {
	horizon, whence := maxAge, fmt.Sprintf("stream %s keeps messages for %s", e.cfg.Stream, maxAge)
	if e.cfg.ReplayHorizon > 0 {
		horizon, whence = e.cfg.ReplayHorizon, fmt.Sprintf("Config.ReplayHorizon is %s", e.cfg.ReplayHorizon)
	}
	switch {
	case retention == 0, horizon > 0 && retention >= horizon+retentionMargin:
		return nil
	case horizon == 0:
		return fmt.Errorf("the inbox in Config.%s forgets a message after %s, but stream %s keeps messages for ever, and one that is delivered "+
			"again would be handled twice: set the inbox's Retention to 0 (for ever), or state in Config.ReplayHorizon after what time "+
			"no message is ever delivered again", field, retention, e.cfg.Stream)
	}
	return fmt.Errorf("the inbox in Config.%s forgets a message after %s, but %s, and one that is delivered again after it was forgotten would be "+
		"handled twice: set the inbox's Retention to %s or more (0 is for ever), or state in Config.ReplayHorizon after what time "+
		"no message is ever delivered again", field, retention, whence, horizon+retentionMargin)
}
