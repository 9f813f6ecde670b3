package relay

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
)

// whileOpen ends ctx once the connection is closed for good. The client opens a lost one
// anew by itself, but it closes one on which the broker says what it does not know,
// such as that a message is larger than max_payload, which was lowered while it was on its
// way. Nothing would ever be published on it again. stop ends the watch.
func whileOpen(ctx context.Context, nc *nats.Conn) (open context.Context, stop func()) {
	open, cancel := context.WithCancelCause(ctx)
	closed := nc.StatusChanged(nats.CLOSED)
	if nc.IsClosed() {
		cancel(nats.ErrConnectionClosed)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-closed:
			cancel(nats.ErrConnectionClosed)
		case <-open.Done():
		}
	}()
	return open, func() {
		cancel(nil)
		<-ended
		nc.RemoveStatusListener(closed)
	}
}

// closedError says why the connection was closed, if that is what ended ctx.
func closedError(ctx context.Context, nc *nats.Conn) error {
	if !errors.Is(context.Cause(ctx), nats.ErrConnectionClosed) {
		return nil
	}
	if why := nc.LastError(); why != nil {
		return fmt.Errorf("relay: the connection to the broker is closed, another one has to be opened: %w: %w", nats.ErrConnectionClosed, why)
	}
	return fmt.Errorf("relay: the connection to the broker is closed, another one has to be opened: %w", nats.ErrConnectionClosed)
}
