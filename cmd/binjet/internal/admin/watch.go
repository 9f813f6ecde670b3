package admin

import (
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/relay"
)

// Watch collects what the hooks of a relay and its reader tell. It is safe for
// concurrent use.
type Watch struct {
	source string
	stale  time.Duration // an older checkpoint is a stall
	now    func() time.Time

	registry *prometheus.Registry
	metrics  *metrics

	about About
	led   chan struct{} // has room for one: this process leads, or its source is there

	mu      sync.Mutex
	relay   Relay // nil until Attach
	leads   bool
	reader  Reader
	link    link // to the source
	broker  link
	lag     lag
	pace    pace
	survey  survey
	pruning *pruning            // nil where nothing is pruned
	refusal *relay.RefusedError // the last one
}

// link is a connection.
type link struct {
	known     bool // a hook has spoken
	connected bool
	since     time.Time
	err       error
}

// NewWatch returns a Watch of the relay of a source. A checkpoint counts as stale
// once a standby should have taken over and its first commit should have an answer:
// after four heartbeats and two commit timeouts.
func NewWatch(source string, heartbeat, commitTimeout time.Duration, about About) *Watch {
	w := &Watch{source: source, stale: 4*heartbeat + 2*commitTimeout, about: about, now: time.Now, registry: prometheus.NewRegistry(),
		led: make(chan struct{}, 1), broker: link{connected: true}} // known by its first loss
	w.metrics = newMetrics(w)
	return w
}

// Attach gives the watch the relay and its reader, once there are any.
func (w *Watch) Attach(r Relay, reader Reader) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.relay, w.reader = r, reader
}

// Status is the relay's; false while there is none yet.
func (w *Watch) Status() (relay.Status, bool) {
	seen := w.look()
	return seen.status, seen.attached
}

// Lag is how far the stream may be behind the source; false unless this process leads.
func (w *Watch) Lag() (time.Duration, bool) {
	seen := w.look()
	return seen.lag, seen.attached && seen.status.Role == relay.Leader
}

// Source is why the source can't be read by this process, which leads; nil where it can,
// and while it only begins to.
func (w *Watch) Source() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if l := w.link; l.known && !l.connected {
		return l.err
	}
	return nil
}

// RelayHooks are for [relay.Config].
func (w *Watch) RelayHooks() relay.Hooks {
	return relay.Hooks{Committed: w.committed, Role: w.role, Settled: w.settled,
		Quarantined: func(string, string) { w.metrics.quarantined.Inc() }}
}

func (w *Watch) settled(verdict string, cause error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refusal = w.metrics.settled(verdict, cause, w.refusal)
}

// answered notes an answer of the source or the broker, unless this process ceased to
// lead meanwhile: a standby asks nothing, and would show it for ever.
func (w *Watch) answered(note func(*survey)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.leads {
		note(&w.survey)
	}
}

// BrokerLost notes that NATS is not connected, and why; also for each further try.
func (w *Watch) BrokerLost(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broker.connected {
		w.metrics.brokerLosses.Inc()
	}
	w.broker.lose(err, w.now())
}

// BrokerFound notes that NATS is connected again.
func (w *Watch) BrokerFound() {
	w.metrics.brokerReconnects.Inc()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broker = link{known: true, connected: true, since: w.now()}
}

// lose keeps the time of the first loss and the error of the last.
func (l *link) lose(err error, now time.Time) {
	if l.connected || !l.known {
		l.since = now
	}
	l.known, l.connected, l.err = true, false, err
}

// down is why a connection is a fault by now; "" where it is none.
func (l link) down(what string, now time.Time, stale time.Duration) string {
	lost := now.Sub(l.since)
	if !l.known || l.connected || lost <= stale {
		return ""
	}
	cause := ""
	if l.err != nil {
		cause = ": " + l.err.Error()
	}
	return fmt.Sprintf("%s has been disconnected for %s%s", what, lost.Round(100*time.Millisecond), cause)
}

// ReaderHooks are for [binlog.Config].
func (w *Watch) ReaderHooks() binlog.Hooks {
	return binlog.Hooks{
		Connected:    func(binlog.Server) { w.connected() },
		Disconnected: w.disconnected,
		Received:     func(n int) { w.metrics.received.Add(float64(n)) },
		Transaction:  w.transaction,
	}
}

func (w *Watch) committed(c relay.Commit) {
	now := w.now()
	w.metrics.committed(c, now)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lag.committed(c.Checkpoint.Position)
	w.pace.committed(c.Checkpoint.Snapshot, now)
}

// role forgets the reader when the relay ceases to lead: a standby reads nothing.
func (w *Watch) role(r relay.Role) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.leads = r == relay.Leader; w.leads {
		w.metrics.takeovers.Inc()
		w.news()
		// The reader is about to connect: its time is running.
		w.link = link{known: true, since: w.now()}
		return
	}
	w.link, w.lag, w.pace, w.survey = link{}, lag{}, pace{}, survey{}
	if w.pruning != nil {
		w.pruning.stand()
	}
}

// news wakes the [Surveyor]: there may be an answer now.
func (w *Watch) news() {
	select {
	case w.led <- struct{}{}:
	default:
	}
}

func (w *Watch) connected() {
	w.metrics.connects.Inc()
	w.news()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.link = link{known: true, connected: true, since: w.now()}
}

func (w *Watch) disconnected(err error) {
	w.metrics.disconnects.Inc()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.link.lose(err, w.now())
}

func (w *Watch) transaction(g checkpoint.GTID, committed time.Time, rows int) {
	w.metrics.transactions.Inc()
	w.metrics.rows.Add(float64(rows))
	now := w.now()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lag.read(g, committed, rows, now)
}
