package consumer

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/binjet/binjet"
)

// lanesWorld is a dispatcher with shares that nobody reads.
type lanesWorld struct {
	t *testing.T
	*lanes
	seq uint64
}

func newLanesWorld(t *testing.T) *lanesWorld {
	cfg := Config{Name: "c", Ordered: ByKey, MaxBytes: 1 << 20}.WithDefaults()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	l := newLanes(&engine{Consumer: &Consumer{cfg: cfg, log: log}})
	l.lease = time.Now().Add(24 * time.Hour)
	return &lanesWorld{t: t, lanes: l}
}

func (w *lanesWorld) share() *share {
	s := &share{engine: w.engine, lanes: w.lanes, roomier: make(chan struct{}, 1), dirty: make(chan struct{}, 1), idle: make(chan struct{})}
	w.restart(s, position{}, nil)
	return s
}

// put receives messages; each is named key and number, and one without a key "-1".
func (w *lanesWorld) put(s *share, names ...string) {
	w.t.Helper()
	for _, name := range names {
		w.seq++
		key, _, _ := strings.Cut(name, "-")
		raw := nats.NewMsg("outbox.a")
		raw.Header.Set(binjet.HeaderID, name)
		raw.Header.Set(binjet.HeaderTopic, "a")
		if key != "" {
			raw.Header.Set(binjet.HeaderKey, key)
		}
		if !w.receive(&item{share: s, seq: w.seq, published: time.Now(), raw: raw, size: raw.Size()}, key) {
			w.t.Fatalf("%s is refused", name)
		}
	}
}

// take takes what is ready now, and checks what that is.
func (w *lanesWorld) take(want ...string) []*delivery {
	w.t.Helper()
	var taken []*delivery
	var names []string
	for {
		over := make(chan time.Time)
		close(over)
		it, _ := w.pop()
		if it == nil {
			break
		}
		d := w.deliver(it)
		if d == nil {
			w.t.Fatalf("message %d is not delivered", it.seq)
		}
		taken, names = append(taken, d), append(names, d.msg.ID)
	}
	if fmt.Sprint(names) != fmt.Sprint(want) {
		w.t.Fatalf("took %v, want %v", names, want)
	}
	return taken
}

func (w *lanesWorld) end(d *delivery, kind Kind, delay time.Duration) {
	w.t.Helper()
	if err := w.conclude(d, Outcome{Kind: kind, Delay: delay, Err: errors.New("why")}); err != nil {
		w.t.Fatal(err)
	}
}

func TestLanesGiveOneOfAKeyAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLanesWorld(t)
		s := w.share()
		w.put(s, "a-1", "a-2", "b-1", "-1", "a-3", "-2")
		d := w.take("a-1", "b-1", "-1", "-2")
		w.end(d[0], Retried, time.Minute)
		w.end(d[1], Handled, 0)
		w.take()
		w.put(s, "b-2", "c-1")
		w.take("b-2", "c-1")
		time.Sleep(time.Minute - time.Second)
		w.take()
		time.Sleep(time.Second)
		d = w.take("a-1")
		if d[0].msg.Attempt != 2 {
			t.Errorf("the retry is attempt %d", d[0].msg.Attempt)
		}
		w.end(d[0], Deferred, time.Second) // no attempt is counted
		time.Sleep(time.Second)
		d = w.take("a-1")
		if d[0].msg.Attempt != 2 {
			t.Errorf("after a deferral it is attempt %d", d[0].msg.Attempt)
		}
		w.end(d[0], DeadLettered, 0)
		w.end(w.take("a-2")[0], Duplicate, 0)
		w.end(w.take("a-3")[0], Handled, 0)
		if pos := s.progress.position(); pos.Cut != 5 || fmt.Sprint(pos.open()) != "[4]" { // b-2 and c-1 are behind, -2 too
			t.Errorf("the position is %+v", pos)
		}
	})
}

// TestLanesWait: next blocks until something is ready, and not longer.
func TestLanesWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLanesWorld(t)
		s := w.share()
		w.put(s, "a-1")
		start := time.Now()
		w.end(w.next(), Retried, time.Minute)
		d := w.next()
		if took := time.Since(start); took < time.Minute || took > time.Minute+time.Second {
			t.Errorf("the retry came after %s", took)
		}
		w.end(d, Handled, 0)
		if d := w.following(time.After(time.Second)); d != nil {
			t.Errorf("something follows: %s", d.msg.ID)
		}
		got := make(chan *delivery)
		for range 2 {
			go func() { got <- w.next() }()
		}
		synctest.Wait()
		w.put(s, "b-1", "c-1")
		if a, b := <-got, <-got; a == nil || b == nil {
			t.Error("not both workers were woken")
		}
		go func() { got <- w.next() }()
		synctest.Wait()
		w.close()
		if d := <-got; d != nil {
			t.Error("a closed dispatcher delivers")
		}
	})
}

// TestLanesBeginNothingWithoutALease: who is not heard may have lost what it holds.
func TestLanesBeginNothingWithoutALease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLanesWorld(t)
		w.put(w.share(), "a-1", "b-1")
		w.renew(time.Now().Add(time.Second))
		if it, _ := w.pop(); it == nil {
			t.Fatal("nothing with a lease")
		}
		time.Sleep(2 * time.Second)
		w.take()
		w.renew(time.Now().Add(time.Second))
		w.take("b-1")
	})
}

// TestLanesWithdraw: nothing of a share is begun any more, what runs comes to its
// end, and the position has what is open.
func TestLanesWithdraw(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLanesWorld(t)
		s, other := w.share(), w.share()
		w.put(s, "a-1", "a-2", "b-1", "c-1")
		d := w.take("a-1", "b-1", "c-1")
		w.end(d[2], Retried, time.Minute)
		w.put(other, "x-1")
		w.withdraw(s)
		w.take("x-1")
		w.end(d[0], Handled, 0)
		select {
		case <-s.idle:
			t.Fatal("idle while one runs")
		default:
		}
		w.end(d[1], Retried, time.Second)
		<-s.idle
		time.Sleep(time.Hour)
		w.take()
		if n := w.holding.Load(); n != 1 {
			t.Errorf("%d are held, want that of the other share", n)
		}
		pos := s.progress.position()
		if pos.Cut != 1 || len(pos.Open) > 0 || fmt.Sprint(pos.Tries) != "map[3:1 4:1]" {
			t.Errorf("the position is %+v", pos)
		}
	})
}

// TestLanesRestart: what was held before counts no more, not even when it ends.
func TestLanesRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLanesWorld(t)
		s := w.share()
		w.put(s, "a-1", "a-2", "b-1")
		d := w.take("a-1", "b-1")
		raw := nats.NewMsg("outbox.a")
		raw.Header = nats.Header{binjet.HeaderID: {"a-0"}, binjet.HeaderTopic: {"a"}, binjet.HeaderKey: {"a"}}
		w.restart(s, position{Cut: 1, Open: []uint64{1}, Tries: map[uint64]int{1: 3}}, []*item{{share: s, seq: 1, raw: raw, size: raw.Size()}})
		w.end(d[0], Handled, 0)
		w.end(d[1], Retried, 0)
		w.seq = 1
		w.put(s, "a-2")
		carried := w.take("a-0")[0]
		if carried.msg.Attempt != 4 || s.count != 2 || w.holding.Load() != 2 {
			t.Errorf("attempt %d, %d items, %d held", carried.msg.Attempt, s.count, w.holding.Load())
		}
		w.end(carried, Handled, 0)
		w.end(w.take("a-2")[0], Handled, 0)
		if w.bytes != 0 || w.holding.Load() != 0 {
			t.Errorf("%d bytes and %d messages are left", w.bytes, w.holding.Load())
		}
	})
}

// TestLanesOneAtATimeWithCare: while a share's owners keep dying its attempts are
// noted before they are made, and only one runs.
func TestLanesOneAtATimeWithCare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLanesWorld(t)
		s, other := w.share(), w.share()
		s.care = 2
		w.put(s, "a-1", "b-1", "c-1", "d-1")
		w.put(other, "x-1")
		first, _ := w.pop()
		if raw, careful, ok := w.begin(first); raw == nil || !careful || !ok || first.tries != 1 {
			t.Fatalf("the attempt is not noted: %+v", first)
		}
		x := w.take("x-1")[0]
		w.end(x, Handled, 0)
		d := w.decoded(first.raw, first.seq, first.published)
		d.item = first
		if n := w.attempt(d); n != 1 {
			t.Errorf("it is attempt %d", n)
		}
		w.end(d, Retried, time.Hour)
		if first.tries != 1 {
			t.Errorf("the attempt counts %d times", first.tries)
		}
		second, _ := w.pop()
		w.begin(second)
		w.end(&delivery{item: second}, Handled, 0)
		w.take("c-1", "d-1") // the care is over
	})
}

// TestLanesDropBodies: what does not run is not held beyond MaxBytes.
func TestLanesDropBodies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLanesWorld(t)
		s := w.share()
		w.put(s, "a-1")
		w.cfg.MaxBytes = w.bytes * 5 / 2
		w.put(s, "b-1", "c-1", "d-1")
		held := 0
		for _, it := range s.progress.open {
			if it.raw != nil {
				held++
			}
		}
		if held != 2 || w.bytes > w.cfg.MaxBytes {
			t.Fatalf("%d bodies are held, %d bytes of %d", held, w.bytes, w.cfg.MaxBytes)
		}
		w.end(w.next(), Handled, 0)
		w.put(s, "e-1")
		if it := s.progress.open[5]; it.raw == nil {
			t.Error("the room that is free again is not used")
		}
	})
}
