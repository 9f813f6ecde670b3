package consumer

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/binjet/binjet/internal/deadletter"
)

// BreakerConfig says when a consumer stops trying. While nothing succeeds and more
// than one message fails, the fault is likely not the messages': then an outage
// would drain the stream into dead letters. So failures in a row slow the consumer
// down to one message at a time, and then open the breaker: one message after the
// other is tried now and then, no attempt is counted, and the first success closes it.
//
// A message that fails while nothing else does never opens it. What a handler gave
// up with [Discard] and what can't be decoded is the message's own fault and counts
// for nothing here.
type BreakerConfig struct {
	// Failures is how many failed attempts in a row, of at least two messages, open
	// the breaker. Half of them slow the consumer down. A message's last attempt
	// opens it at once when others fail too and nothing was handled since the
	// attempt before. Default: 10.
	Failures int
	// Probe is the wait between tries while it is open. Default: 1 s doubling to 30 s.
	Probe Backoff
	// Disabled turns it off: every failure counts, whatever its cause. Default: false.
	Disabled bool
}

// BreakerState says whether messages are handed to handlers.
type BreakerState int

// The states of a breaker.
const (
	// BreakerClosed: messages run as they come.
	BreakerClosed BreakerState = iota
	// BreakerSlow: several attempts in a row failed; messages run one at a time,
	// after a wait that doubles. A failure counts as an attempt.
	BreakerSlow
	// BreakerOpen: messages wait, alive on the broker. One at a time is tried; its
	// failure is not counted as an attempt. A success closes the breaker.
	BreakerOpen
)

func (s BreakerState) String() string {
	switch s {
	case BreakerClosed:
		return "closed"
	case BreakerSlow:
		return "slow"
	case BreakerOpen:
		return "open"
	}
	return "unknown"
}

// MarshalText makes the state readable in JSON.
func (s BreakerState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// BreakerStatus is a breaker at one moment.
type BreakerStatus struct {
	State BreakerState `json:"state"`
	// Since is when it came into this state; zero when it was never in another.
	Since time.Time `json:"since,omitzero"`
	// Failures is how many attempts failed in a row.
	Failures int `json:"failures,omitempty"`
	// Err is the last of them.
	Err string `json:"error,omitempty"`
	// Next is when a message may be tried, in another state than closed.
	Next time.Time `json:"next,omitzero"`
}

// breaker holds messages back while nothing succeeds.
type breaker struct {
	cfg    BreakerConfig
	policy policy
	ledger *ledger
	log    *slog.Logger
	hook   func(BreakerStatus)
	others func(*delivery) (bool, error) // does the broker redeliver other messages too?

	mu        sync.Mutex
	changed   chan struct{} // closed when who waits has to look again
	status    BreakerStatus
	first     place // of the failures in a row
	several   bool  // messages are among them
	last      place // the message that failed last
	same      int   // how often in a row
	probes    int   // failed ones since it opened
	trying    bool  // a message runs that had to wait for its turn
	succeeded time.Time
}

func newBreaker(cfg BreakerConfig, p policy, l *ledger, log *slog.Logger, hook func(BreakerStatus), others func(*delivery) (bool, error)) *breaker {
	if hook == nil {
		hook = func(BreakerStatus) {}
	}
	return &breaker{cfg: cfg, policy: p, ledger: l, log: log, hook: hook, others: others, changed: make(chan struct{})}
}

// pass is the leave to run one attempt. It has to be given back.
type pass struct {
	at    time.Time
	turn  bool // others wait until it is back
	probe bool // the breaker was open
}

// enter waits until an attempt may be made; false says that Run ends.
func (b *breaker) enter(stop <-chan struct{}) (pass, bool) {
	for {
		p, changed, due := b.ask()
		if changed == nil {
			return p, true
		}
		var timer <-chan time.Time // none while another one is being tried
		if due > 0 {
			timer = time.After(due)
		}
		select {
		case <-timer:
		case <-changed:
		case <-stop:
			return pass{}, false
		}
	}
}

// ask returns a pass, or what to wait for.
func (b *breaker) ask() (p pass, changed <-chan struct{}, due time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.status.State == BreakerClosed {
		return pass{at: time.Now()}, nil, 0
	}
	if b.trying {
		return pass{}, b.changed, 0
	}
	if due = time.Until(b.status.Next); due > 0 {
		return pass{}, b.changed, due
	}
	b.trying = true
	return pass{at: time.Now(), turn: true, probe: b.status.State == BreakerOpen}, nil, 0
}

func (b *breaker) leave(p pass) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.turn {
		b.trying = false
		b.wake()
	}
}

func (b *breaker) wake() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// aloneAfter is how often an open breaker tries the same message, since it gets no
// other, before it takes that one for the only one that fails.
const aloneAfter = 3

// errBreakerOpen is why a failure is not counted as an attempt.
var errBreakerOpen = errors.New("not counted as an attempt, since several messages fail and none succeeds")

// judge takes note of an outcome. It changes one that says "this message is to
// blame" while nothing shows that: a try of an open breaker, and a last attempt
// since whose predecessor nothing was handled. The broker knows whether other
// messages fail too, in whatever process.
func (b *breaker) judge(d *delivery, p pass, out Outcome) Outcome {
	if b.cfg.Disabled {
		return out
	}
	if out.Kind == Handled {
		b.success()
		return out
	}
	if !blames(out) {
		return out
	}
	alone := b.failure(d, p, out.Err)
	if !p.probe && (out.Kind != DeadLettered || b.proven(d, p)) {
		return out
	}
	others, err := b.others(d)
	switch {
	case err != nil:
		err = fmt.Errorf("%w (could not ask the broker whether other messages fail too: %w)", out.Err, err)
		return Outcome{Kind: Retried, Err: err, Delay: b.policy.backoff.delay(d.msg.Attempt)}
	case alone && !others:
		b.acquit()
		return out
	}
	b.accuse()
	return Outcome{Kind: Deferred, Err: fmt.Errorf("%w: %w", errBreakerOpen, out.Err), Delay: b.away(d)}
}

// blames reports whether an outcome is a failure that may have a cause outside of its message.
func blames(out Outcome) bool {
	var discard *discardError
	return (out.Kind == Retried || out.Kind == DeadLettered) && !errors.As(out.Err, &discard)
}

// away is how long a message that was tried in vain stays away: the longer the more
// often, so that messages that can't be handled leave room to try others.
func (b *breaker) away(d *delivery) time.Duration {
	tries := max(int(d.delivered)-d.msg.Attempt, 0)
	return Backoff{Min: b.cfg.Probe.Max, Max: 10 * b.cfg.Probe.Max}.delay(tries + 1)
}

// inVain takes note of messages that failed together and are run again in parts. An
// open breaker waits before that.
func (b *breaker) inVain(d *delivery, p pass, err error) {
	if p.probe && !b.cfg.Disabled {
		b.failure(d, p, err)
		b.mu.Lock()
		b.same = 0 // it was not this one alone
		b.mu.Unlock()
	}
}

// proven reports whether something was handled since this message's last failure,
// so that the message is to blame. Where that was in another process, it was at
// least the backoff ago.
func (b *breaker) proven(d *delivery, p pass) bool {
	failed, ok := b.ledger.settled(d)
	if !ok {
		failed = p.at.Add(-b.policy.backoff.least(d.msg.Attempt - 1))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.succeeded.After(failed)
}

func (b *breaker) success() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.succeeded = time.Now()
	b.status.Failures, b.status.Err, b.several = 0, "", false
	if b.status.State != BreakerClosed {
		b.log.Info("a message was handled again; the breaker is closed", slog.Duration("after", time.Since(b.status.Since)))
		b.turn(BreakerClosed, 0)
	}
}

// failure counts one. It reports whether this message seems to be the only one that
// fails, as far as this process can know: the broker does not say of a message that
// it failed before it was delivered again.
func (b *breaker) failure(d *delivery, p pass, err error) (alone bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.status.Failures == 0 {
		b.first = d.at
	} else if d.at != b.first {
		b.several = true
	}
	if b.same++; d.at != b.last {
		b.last, b.same = d.at, 1
	}
	alone = !b.several || b.same >= aloneAfter || !p.probe && d.delivered > 1
	b.status.Failures++
	b.status.Err = deadletter.Reason(err.Error())
	n, limit := b.status.Failures, b.cfg.Failures
	switch {
	case p.probe:
		b.probes++
		b.status.Next = time.Now().Add(b.cfg.Probe.delay(b.probes + 1))
	case b.status.State == BreakerOpen || !b.several:
	case n >= limit:
		b.open()
	case n >= (limit+1)/2:
		wait := b.cfg.Probe.Min >> min(limit-n, 62)
		if b.status.State == BreakerClosed {
			b.log.Warn("attempts of several messages failed in a row; the consumer slows down",
				slog.Int("failures", n), slog.String("error", b.status.Err))
			b.turn(BreakerSlow, wait)
		}
		b.status.Next = time.Now().Add(wait)
	}
	return alone
}

// accuse opens the breaker: not one message is to blame.
func (b *breaker) accuse() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.status.State != BreakerOpen {
		b.open()
	}
}

// acquit closes the breaker: a single message fails, and so may be to blame itself.
func (b *breaker) acquit() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.status.Failures, b.several = 0, false
	if b.status.State != BreakerClosed {
		b.log.Warn("only one message fails; the breaker is closed", slog.String("error", b.status.Err))
		b.turn(BreakerClosed, 0)
	}
}

// open is called with the lock held.
func (b *breaker) open() {
	b.probes = 0
	wait := b.cfg.Probe.delay(1)
	b.log.Error("the breaker is open: several messages failed in a row; they wait, one at a time is tried, and none is given up until one is handled",
		slog.Int("failures", b.status.Failures), slog.String("error", b.status.Err), slog.Duration("next_try", wait))
	b.turn(BreakerOpen, wait)
}

// turn is called with the lock held, so that hooks see the states in their order.
func (b *breaker) turn(s BreakerState, wait time.Duration) {
	now := time.Now()
	b.status.State, b.status.Since, b.status.Next = s, now, time.Time{}
	if s != BreakerClosed {
		b.status.Next = now.Add(wait)
	}
	b.wake()
	b.hook(b.status)
}

// now is the breaker's status.
func (b *breaker) now() BreakerStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.status
}
