package dashboard

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/binjet/binjet/cmd/binjet/internal/presence"
	"github.com/binjet/binjet/relay"
)

// TestProcesses: the page itself waits for nobody; then it has the leader, and who stands
// by with what would keep it from taking over.
func TestProcesses(t *testing.T) {
	w := newWorld(t, nil)
	w.wants("/", 200, "being asked")
	w.wants("/?ask", 200, "no relay answered") // what a page without a script links to
	w.page.processes.forget()
	if v := w.page.processesView(t.Context(), true); !strings.Contains(v.Error, "no relay answered") || !strings.Contains(v.Error, "allowed to publish") {
		t.Errorf("without a relay: %+v", v)
	}
	w.page.processes.forget()
	for name, err := range map[string]error{"b": nil, "c": errors.New("no route to <db>")} {
		w.relayAnswers(presence.Process{Instance: name, Version: "v9", Role: relay.Standby, Since: time.Now()}, err)
	}
	w.relayAnswers(presence.Process{Instance: "a", Version: "v9", Role: relay.Leader, Since: time.Now()}, nil)
	v := w.page.processesView(t.Context(), true)
	if len(v.Rows) != 3 || !v.Rows[0].Leads || !v.Standby || v.Error != "" {
		t.Fatalf("%+v", v)
	}
	w.wants("/", 200, "leads", "yes", "<strong>no</strong>: no route to &lt;db&gt;")
}

func (w *world) relayAnswers(p presence.Process, look error) {
	w.t.Helper()
	stop, err := presence.Answer(presence.Config{Conn: w.page.broker().nc, Subject: presence.Subject("S", "shop"), Log: slog.New(slog.DiscardHandler),
		Process: func() presence.Process { return p }, Look: func(context.Context) error { return look }})
	w.must(nil, err)
	w.t.Cleanup(stop)
}
