package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/binjet/binjet/internal/pause"
)

// Linked is a [Source] that knows whether it can reach its server.
type Linked interface {
	// Lost is since when a running Stream can't, and why; the zero time while it can.
	Lost() (since time.Time, cause error)
}

// lostError ends a leader whose source can't be reached.
type lostError struct {
	lost  time.Duration
	cause error
}

func (e *lostError) Error() string {
	return fmt.Sprintf("the source can't be reached for %s: %v", e.lost.Round(time.Second), e.cause)
}

func (e *lostError) Unwrap() error { return e.cause }

// unreachable is a *lostError once the source was lost for so long that another
// relay should try: the way to the server may be cut for this one only. It is asked
// when everything that was read is published.
func (s *session) unreachable() error {
	source, ok := s.r.cfg.Source.(Linked)
	if !ok {
		return nil
	}
	since, cause := source.Lost()
	if lost := time.Since(since); !since.IsZero() && lost >= s.r.cfg.HandOver {
		return &lostError{lost, cause}
	}
	return nil
}

// handedOver: the checkpoint is released, for whoever can verify it against the
// source. That may be this relay again, but others go first.
func (r *Relay) handedOver(ctx context.Context, err error) bool {
	var lost *lostError
	if !errors.As(err, &lost) {
		return false
	}
	r.trouble(err.Error())
	r.log.Warn("handing over to a relay that reaches the source", slog.Any("cause", err))
	_ = pause.For(ctx, r.cfg.Heartbeat)
	return true
}
