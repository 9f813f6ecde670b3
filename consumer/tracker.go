package consumer

import (
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// tracker knows every message that this process holds, buffered or running, and
// is the only one that talks to the broker about them. It never lets a sign of
// life follow a verdict: that would undo a negative acknowledgement's delay.
type tracker struct {
	nc *nats.Conn

	mu   sync.Mutex
	held map[*delivery]struct{}
}

func newTracker(nc *nats.Conn) *tracker {
	return &tracker{nc: nc, held: make(map[*delivery]struct{})}
}

func (t *tracker) add(d *delivery) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held[d] = struct{}{}
}

func (t *tracker) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.held)
}

// beat tells the broker that every held message is in progress. What it can't
// send now it sends at the next beat, which comes before AckWait ends.
func (t *tracker) beat() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for d := range t.held {
		_ = t.nc.Publish(d.raw.Reply, []byte("+WPI"))
	}
}

// settle sends the verdict and lets go of the message. A verdict that can't be
// sent or is lost does no harm: the broker delivers the message again after
// AckWait, and the inbox knows it.
func (t *tracker) settle(d *delivery, verdict []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.held, d)
	return t.nc.Publish(d.raw.Reply, verdict)
}

// verdict is what the broker is told about an outcome. Never a bare negative
// acknowledgement: the broker would deliver the message again at once.
func verdict(out Outcome) []byte {
	switch out.Kind {
	case Handled, Duplicate, Ignored, Skipped, Expired:
		return []byte("+ACK")
	case DeadLettered:
		return []byte("+TERM dead-lettered")
	default:
		return fmt.Appendf(nil, `-NAK {"delay": %d}`, max(out.Delay, time.Millisecond).Nanoseconds())
	}
}
