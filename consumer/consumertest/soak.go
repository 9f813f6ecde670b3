package consumertest

import (
	"database/sql"
	"testing"
	"time"

	"github.com/binjet/binjet/consumer"
)

// Soak delivers the messages to h under chaos, what is retried again with its next
// attempt, until each is handled or dead, and returns how each ended, in the order
// of msgs. Afterwards the effects have to be what they are without chaos, less
// those of dead messages: that is for the test to check. It does not wait for
// DeliverAt or a backoff. With consumer.NoLimit and a handler that never succeeds
// it does not end.
func Soak(t testing.TB, chaos Chaos, h consumer.Handler, msgs ...*consumer.Message) []consumer.Outcome {
	t.Helper()
	return Runner{}.Soak(t, chaos, h, msgs...)
}

// SoakTx is [Soak] for HandleTx. Give the Runner a TxInbox, or duplicates will
// have their effects twice.
func (r Runner) SoakTx(t testing.TB, chaos Chaos, db *sql.DB, h consumer.TxHandler, msgs ...*consumer.Message) []consumer.Outcome {
	t.Helper()
	i := chaos.Start(t)
	c := r.consumer(t, func(c *consumer.Consumer) { c.HandleTx(">", db, h, i.Middleware()) })
	return soak(t, i, c, filled(msgs))
}

// Soak is [Soak] under r's config.
func (r Runner) Soak(t testing.TB, chaos Chaos, h consumer.Handler, msgs ...*consumer.Message) []consumer.Outcome {
	t.Helper()
	i := chaos.Start(t)
	c := r.consumer(t, func(c *consumer.Consumer) { c.Handle(">", h, i.Middleware()) })
	return soak(t, i, c, filled(msgs))
}

// soak delivers round by round: what came back is tried in the next.
func soak(t testing.TB, i *Injector, c *consumer.Consumer, msgs []*consumer.Message) []consumer.Outcome {
	t.Helper()
	ended := make(map[string]consumer.Outcome, len(msgs))
	for round := i.Deliveries(msgs...); len(round) > 0; {
		var again []*consumer.Message
		for n, out := range try(t, c, round) {
			next := *round[n]
			switch {
			case out.Kind == consumer.Retried:
				next.Attempt = max(next.Attempt, 1) + 1
				again = append(again, &next)
			case out.Kind == consumer.Deferred && !next.DeliverAt.IsZero():
				next.DeliverAt = time.Time{} // its time has come
				again = append(again, &next)
			case out.Kind == consumer.Duplicate, ended[next.ID].Kind == consumer.Handled:
			default:
				ended[next.ID] = out
			}
		}
		round = again
	}
	outs := make([]consumer.Outcome, len(msgs))
	for n, msg := range msgs {
		outs[n] = ended[msg.ID]
	}
	return outs
}
