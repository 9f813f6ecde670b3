package consumer

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
)

// errDisconnected is why a call to the broker was given up.
var errDisconnected = errors.New("the connection to the broker was lost")

// whileConnected bounds calls to the broker: by a timeout, and by the connection,
// since what was asked over one that is gone is never answered. The cause is
// errDisconnected then.
func (e *engine) whileConnected(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	bounded, lost := context.WithCancelCause(ctx)
	nc := e.js.Conn()
	status := nc.StatusChanged(nats.DISCONNECTED, nats.RECONNECTING, nats.CLOSED)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-status:
			lost(errDisconnected)
		case <-bounded.Done():
		}
	}()
	return bounded, func() {
		cancel()
		<-done
		lost(nil)
		nc.RemoveStatusListener(status)
	}
}

// connected waits for the connection. The error is nats.ErrConnectionClosed when
// there will be none.
func (e *engine) connected(ctx context.Context) error {
	nc := e.js.Conn()
	status := nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer nc.RemoveStatusListener(status)
	for !nc.IsConnected() {
		if nc.IsClosed() {
			return nats.ErrConnectionClosed
		}
		select {
		case <-status:
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}
