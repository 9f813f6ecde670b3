package presence

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/binjet/binjet/internal/natstest"
	"github.com/binjet/binjet/relay"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const subject = "binjet.status.OUTBOX.shop"

// first is long enough for what answers at once.
const first = 300 * time.Millisecond

func answer(t *testing.T, nc *nats.Conn, p Process, look func(context.Context) error) (stop func()) {
	t.Helper()
	stop, err := Answer(Config{Conn: nc, Subject: Subject("OUTBOX", "shop"), Process: func() Process { return p }, Look: look, Log: slog.New(slog.DiscardHandler)})
	if err == nil {
		err = nc.Flush() // the server knows of the subscription
	}
	if err != nil {
		t.Fatal(err)
	}
	return stop
}

// respond answers whoever asks with a text.
func respond(t *testing.T, ns *natstest.Server, text string) {
	t.Helper()
	nc := ns.Connect(t)
	_, err := nc.Subscribe(subject, func(m *nats.Msg) { _ = m.Respond([]byte(text)) })
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func ask(t *testing.T, nc *nats.Conn) string {
	t.Helper()
	list, err := Ask(t.Context(), nc, subject, first)
	if err != nil {
		return err.Error()
	}
	var text []string
	for _, p := range list {
		why, ok := p.CouldLead()
		text = append(text, strings.TrimSpace(fmt.Sprintf("%s %s %v %s", p.Instance, p.Role, ok, why)))
	}
	return strings.Join(text, "; ")
}

// TestAsk: all answer, the leader first, and a standby says whether it could lead. A
// look that takes longer than its time is one that failed, and others don't wait for it.
func TestAsk(t *testing.T) {
	ns := natstest.Start(t)
	asker := ns.Connect(t)
	if got := ask(t, asker); got != "no relay answered on "+subject {
		t.Errorf("nobody runs: %s", got)
	}
	now, well := time.Now(), func(context.Context) error { return nil }
	var looks atomic.Int32
	for _, stop := range []func(){
		answer(t, ns.Connect(t), Process{Instance: "b", Role: relay.Standby, Since: now.Add(time.Hour)}, func(context.Context) error { looks.Add(1); return nil }),
		answer(t, ns.Connect(t), Process{Instance: "c", Role: relay.Standby, Since: now}, func(context.Context) error { return errors.New("no way to the source") }),
		answer(t, ns.Connect(t), Process{Instance: "d", Role: relay.Standby, Since: now.Add(2 * time.Hour), Trouble: "can't read"}, well),
		answer(t, ns.Connect(t), Process{Instance: "a", Role: relay.Leader, Since: now.Add(time.Hour)}, well),
	} {
		defer stop()
	}
	respond(t, ns, "garbage")
	const want = "a leader true; c standby false no way to the source; b standby true; d standby false can't read"
	for range 3 {
		if got := ask(t, asker); got != want {
			t.Errorf("%s", got)
		}
	}
	if n := looks.Load(); n != 1 {
		t.Errorf("three questions in a row were %d looks at the source", n)
	}
}

// TestAskSlow: a process that is still looking is known by its first answer, and one
// that stops no longer answers.
func TestAskSlow(t *testing.T) {
	ns := natstest.Start(t)
	slow := make(chan struct{})
	time.AfterFunc(2*first, func() { close(slow) })
	hang := func(context.Context) error { <-slow; return errors.New("no way to the source") }
	stop := answer(t, ns.Connect(t), Process{Instance: "a", Role: relay.Standby}, hang)
	if got := ask(t, ns.Connect(t)); got != "a standby false no way to the source" {
		t.Errorf("%s", got)
	}
	stop()
	if got := ask(t, ns.Connect(t)); !strings.HasPrefix(got, ErrNobody.Error()) {
		t.Errorf("%s", got)
	}
	respond(t, ns, `{"instance":"old","role":"standby"}`)
	ctx, cancel := context.WithTimeout(t.Context(), 2*first)
	defer cancel()
	if _, err := Ask(ctx, ns.Connect(t), subject, first); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}
