package consumer

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// breakerModel is a broker with messages, and processes that handle them. Its
// clock is synctest's; the breaker, the ledger and the policy are the real ones.
type breakerModel struct {
	mu        sync.Mutex
	messages  []*modelMessage
	open      []*modelMessage          // without those that ended
	down      func(time.Duration) bool // is the handlers' database down, so long after the start?
	began     time.Time
	processes []*modelProcess
	stop      chan struct{}
	workers   sync.WaitGroup
}

type modelMessage struct {
	sequence  uint64
	poison    bool
	due       time.Time // when it can be delivered
	delivered uint64
	runs      int
	held      bool
	end       Kind // how it ended, 0 when it did not
}

type modelProcess struct {
	*breakerModel
	policy  policy
	ledger  *ledger
	breaker *breaker
	opened  atomic.Int64
}

func (m *breakerModel) process(cfg Config) {
	cfg = cfg.WithDefaults()
	p := &modelProcess{breakerModel: m, policy: cfg.policy(), ledger: newLedger(1000)}
	p.breaker = newBreaker(cfg.Breaker, p.policy, p.ledger, slog.New(slog.DiscardHandler), func(s BreakerStatus) {
		if s.State == BreakerOpen {
			p.opened.Add(1)
		}
	}, m.others)
	m.processes = append(m.processes, p)
	for range cfg.Concurrency {
		m.workers.Go(p.work)
	}
}

// add makes a message that can be delivered after the wait.
func (m *breakerModel) add(poison bool, after time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	msg := &modelMessage{sequence: uint64(len(m.messages) + 1), poison: poison, due: time.Now().Add(after)}
	m.messages, m.open = append(m.messages, msg), append(m.open, msg)
}

// others is what the broker answers.
func (m *breakerModel) others(d *delivery) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, msg := range m.open {
		if msg.delivered > 1 && msg.sequence != d.at.sequence {
			return true, nil
		}
	}
	return false, nil
}

// deliver gives out what comes again before what is new, as the broker does.
func (m *breakerModel) deliver() *modelMessage {
	m.mu.Lock()
	defer m.mu.Unlock()
	var next *modelMessage
	for _, msg := range m.open {
		if msg.held || msg.due.After(time.Now()) {
			continue
		}
		if next == nil || next.delivered == 0 && msg.delivered > 0 {
			next = msg
		}
	}
	if next != nil {
		next.held = true
		next.delivered++
	}
	return next
}

func (p *modelProcess) work() {
	for {
		if msg := p.deliver(); msg != nil {
			p.handle(msg)
			continue
		}
		select {
		case <-time.After(5 * time.Second):
		case <-p.stop:
			return
		}
	}
}

func (p *modelProcess) handle(msg *modelMessage) {
	d := &delivery{msg: &Message{Sequence: msg.sequence}, at: place{"S", msg.sequence}, delivered: msg.delivered}
	d.msg.Attempt = p.ledger.attempt(d)
	out := p.run(d, func() Outcome {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-p.stop:
			return Outcome{Kind: Deferred, Delay: time.Millisecond}
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		msg.runs++
		var err error
		if msg.poison || p.down(time.Since(p.began)) {
			err = errors.New("it fails")
		}
		return p.policy.decide(err, d.msg.Attempt, false)
	})
	p.settle(d, msg, out)
}

func (p *modelProcess) run(d *delivery, attempt func() Outcome) Outcome {
	turn, ok := p.breaker.enter(p.stop)
	if !ok {
		return Outcome{Kind: Deferred}
	}
	defer p.breaker.leave(turn)
	return p.breaker.judge(d, turn, attempt())
}

func (p *modelProcess) settle(d *delivery, msg *modelMessage, out Outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	msg.held, msg.due = false, time.Now().Add(out.Delay)
	switch out.Kind {
	case Deferred:
		p.ledger.deferred(d)
		for _, e := range p.ledger.unattempted(1) { // what is handed back is written down for the others
			for _, other := range p.processes {
				other.ledger.learn(entry{place: e.place, delivered: e.delivered, attempts: e.attempts})
			}
		}
	case Retried:
		p.ledger.failed(d)
	default:
		msg.end = out.Kind
		p.open = slices.DeleteFunc(p.open, func(o *modelMessage) bool { return o == msg })
		p.ledger.forget(d)
	}
}

func (m *breakerModel) message(i int) modelMessage {
	m.mu.Lock()
	defer m.mu.Unlock()
	return *m.messages[i]
}

// left counts the messages that did not end in the way they should.
func (m *breakerModel) left() (n int, example string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, msg := range m.messages {
		want := Handled
		if msg.poison {
			want = DeadLettered
		}
		if msg.end != want {
			n++
			example = fmt.Sprintf("message %d (poison: %t) is %q after %d deliveries and %d runs", msg.sequence, msg.poison, msg.end, msg.delivered, msg.runs)
		}
	}
	return n, example
}

func newBreakerModel(down func(time.Duration) bool) *breakerModel {
	return &breakerModel{down: down, began: time.Now(), stop: make(chan struct{})}
}

func (m *breakerModel) close() {
	close(m.stop)
	m.workers.Wait()
}

// An outage of whatever length makes no dead letters of messages that fail together,
// and messages that fail by themselves become dead letters once others succeed.
func TestBreakerTellsAnOutageFromPoison(t *testing.T) {
	for seed := range uint64(15) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			outage := 10*time.Second + time.Duration(r.Int64N(int64(time.Hour)))
			m := newBreakerModel(func(at time.Duration) bool { return at > 5*time.Second && at < outage })
			defer m.close()
			for range 2 + r.IntN(50) { // in flight when the outage begins, or just behind it
				m.add(false, time.Duration(r.Int64N(int64(8*time.Second))))
			}
			for range r.IntN(4) {
				m.add(true, time.Duration(r.Int64N(int64(outage)+1)))
			}
			for i := range 200 { // traffic that goes on, also after the outage
				m.add(false, time.Duration(i)*(outage+2*time.Hour)/200)
			}
			m.add(false, 6*time.Second)
			m.add(false, 6*time.Second)
			cfg := Config{Name: "c", Concurrency: 1 + r.IntN(4), MaxDeliver: 3 + r.IntN(10), Breaker: BreakerConfig{Failures: 2 + r.IntN(20)}}
			for range 1 + r.IntN(4) {
				m.process(cfg)
			}
			for {
				n, example := m.left()
				if n == 0 {
					return
				}
				if time.Since(m.began) > outage+6*time.Hour {
					t.Fatalf("seed %d, outage of %s, %d processes, %+v: %d are left: %s", seed, outage, len(m.processes), cfg, n, example)
				}
				time.Sleep(time.Minute)
			}
		})
	}
}

// Five minutes in which nothing works, and a stream that is full.
func TestBreakerOpensInAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newBreakerModel(func(at time.Duration) bool { return at < 5*time.Minute })
		defer m.close()
		for range 1000 {
			m.add(false, 0)
		}
		m.process(Config{Name: "c", Concurrency: 8})
		time.Sleep(4 * time.Minute)
		p, runs := m.processes[0], 0
		m.mu.Lock()
		for _, msg := range m.messages {
			runs += msg.runs
		}
		m.mu.Unlock()
		if s := p.breaker.now(); s.State != BreakerOpen || p.opened.Load() != 1 || s.Err == "" || s.Next.IsZero() {
			t.Fatalf("opened %d times, now %+v", p.opened.Load(), s)
		}
		if runs > 40 { // 8 at once, 10 to open it, and one now and then
			t.Errorf("%d runs in vain", runs)
		}
		time.Sleep(15 * time.Minute)
		if n, example := m.left(); n > 0 {
			t.Fatalf("%d are left: %s", n, example)
		}
		if s := p.breaker.now(); s.State != BreakerClosed || s.Failures != 0 {
			t.Fatalf("it is %+v", s)
		}
	})
}

func TestBreakerLeavesASinglePoisonMessageToItsAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newBreakerModel(func(time.Duration) bool { return false })
		defer m.close()
		m.add(true, 0)
		m.process(Config{Name: "c"})
		m.process(Config{Name: "c"})
		time.Sleep(10 * time.Minute)
		if msg := m.message(0); msg.end != DeadLettered || msg.runs != DefaultMaxDeliver {
			t.Fatalf("it is %+v", msg)
		}
		if m.processes[0].opened.Load()+m.processes[1].opened.Load() > 0 {
			t.Fatal("the breaker opened")
		}
	})
}

// Poison alone holds the breaker open; it does not keep good messages away.
func TestBreakerTriesNewMessagesBesidePoison(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newBreakerModel(func(time.Duration) bool { return false })
		defer m.close()
		for range 5 {
			m.add(true, 0)
		}
		m.process(Config{Name: "c"})
		time.Sleep(2 * time.Hour)
		if s := m.processes[0].breaker.now(); s.State != BreakerOpen {
			t.Fatalf("it is %+v", s)
		}
		m.add(false, 0)
		time.Sleep(2 * time.Minute)
		if msg := m.message(5); msg.end != Handled {
			t.Fatalf("the good one is %+v", msg)
		}
		for range 20 {
			m.add(false, 0)
			time.Sleep(10 * time.Minute)
		}
		if n, example := m.left(); n > 0 {
			t.Fatalf("%d are left: %s", n, example)
		}
	})
}

// Few messages, few attempts each, and processes that each see few of them.
func TestBreakerOpensAtALastAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newBreakerModel(func(at time.Duration) bool { return at < time.Hour })
		defer m.close()
		for range 3 {
			m.add(false, 0)
		}
		for range 5 {
			m.process(Config{Name: "c", MaxDeliver: 3, Breaker: BreakerConfig{Failures: 20}})
		}
		time.Sleep(90 * time.Minute)
		if n, example := m.left(); n > 0 {
			t.Fatalf("%d are left: %s", n, example)
		}
	})
}

// The breaker opened because of two, and another process handled the other one.
func TestBreakerClosesWhenOneMessageIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newBreakerModel(func(time.Duration) bool { return false })
		defer m.close()
		m.add(true, 0)
		m.add(true, 0)
		m.process(Config{Name: "c"})
		time.Sleep(time.Hour)
		if s := m.processes[0].breaker.now(); s.State != BreakerOpen {
			t.Fatalf("it is %+v", s)
		}
		m.mu.Lock()
		m.messages[1].end, m.open = Handled, m.open[:1]
		m.mu.Unlock()
		time.Sleep(time.Hour)
		if msg := m.message(0); msg.end != DeadLettered || msg.runs < DefaultMaxDeliver {
			t.Fatalf("it is %+v", msg)
		}
	})
}
