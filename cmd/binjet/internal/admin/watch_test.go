package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/relay"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a watch with a clock and a relay of the test's.
type bench struct {
	*Watch
	clock    time.Time
	statusMu sync.Mutex // where a test has goroutines
	status   relay.Status
	backlog  relay.Backlog
}

func (b *bench) become(r relay.Role) {
	b.statusMu.Lock()
	defer b.statusMu.Unlock()
	b.status.Role = r
}

// of is the bench as its relay and its reader.
type of struct{ *bench }

func (b of) Status() relay.Status {
	b.statusMu.Lock()
	defer b.statusMu.Unlock()
	return b.status
}

func (b of) Backlog() relay.Backlog { return b.bench.backlog }
func (b of) HeldBytes() int         { return 4096 }

func newBench() *bench {
	b := &bench{Watch: NewWatch("shop", time.Second, 2*time.Second, About{Build: Build{"v1", "abc", "go1"}, Stream: "OUTBOX", Tables: []string{"outbox", "shop.more"}}), clock: time.Unix(1_000_000, 0)}
	b.now = func() time.Time { return b.clock }
	b.status = relay.Status{Role: relay.Leader, Seq: 7, Stored: b.clock, Leader: "me", Checkpoint: checkpoint.Checkpoint{Epoch: 3, Instance: "me", Since: b.clock.Add(-time.Hour),
		Position: checkpoint.Position{XA: []checkpoint.XA{{XID: "a", Since: b.clock.Add(-time.Hour)}, {XID: "b", Since: b.clock.Add(-time.Minute), Rows: 1}}}}}
	b.Attach(of{b}, of{b})
	return b
}

func TestReady(t *testing.T) {
	refused := errors.New("connection refused")
	for name, test := range map[string]struct {
		set    func(*bench)
		reason string // "" for ready
	}{
		"leader":                 {set: func(b *bench) { b.status.Stored = b.clock.Add(-8 * time.Second) }},
		"standby, fresh":         {set: func(b *bench) { b.status.Role = relay.Standby }},
		"no relay yet":           {set: func(b *bench) { b.Attach(nil, nil) }, reason: "starting"},
		"stopped":                {set: func(b *bench) { b.status.Role = relay.Stopped }, reason: "stopped"},
		"no checkpoint":          {set: func(b *bench) { b.status = relay.Status{Role: relay.Standby, Trouble: "why"} }, reason: "no checkpoint of this source was seen yet: why"},
		"leader, stalled":        {set: func(b *bench) { b.status.Stored, b.status.Trouble = b.clock.Add(-9*time.Second), "why" }, reason: "is 9s old, more than 8s: why"},
		"standby, stalled":       {set: func(b *bench) { b.status.Role, b.status.Stored = relay.Standby, b.clock.Add(-time.Minute) }, reason: "1m0s old"},
		"source lost just now":   {set: func(b *bench) { b.ReaderHooks().Disconnected(refused) }},
		"source lost for long":   {set: func(b *bench) { b.lose(refused) }, reason: "disconnected for 10s: connection refused"},
		"source lost and back":   {set: func(b *bench) { b.lose(refused); b.ReaderHooks().Connected(binlog.Server{}) }},
		"source never connected": {set: func(b *bench) { b.RelayHooks().Role(relay.Leader); b.pass(10 * time.Second) }, reason: "disconnected for 10s"},
		"NATS lost just now":     {set: func(b *bench) { b.BrokerLost(refused) }},
		"NATS lost for long":     {set: func(b *bench) { b.BrokerLost(refused); b.pass(10 * time.Second); b.BrokerLost(refused) }, reason: "NATS has been disconnected for 10s: connection refused"},
		"NATS lost and back":     {set: func(b *bench) { b.BrokerLost(refused); b.pass(10 * time.Second); b.BrokerFound() }},
		"NATS lost from the start": {set: func(b *bench) {
			b.status.Stored, b.status.Trouble = b.clock.Add(-time.Minute), "no answer"
			b.BrokerLost(refused)
			b.stall(9 * time.Second)
		}, reason: "old, more than 8s: no answer; NATS has been disconnected for 9s"},
		"waits for little": {set: func(b *bench) { b.backlog = relay.Backlog{Transactions: 1, Since: b.clock}; b.pass(8 * time.Second) }},
		"publishes nothing of what it read": {set: func(b *bench) {
			b.backlog, b.status.Trouble = relay.Backlog{Transactions: 3, Bytes: 70, Since: b.clock}, "store a row"
			b.pass(10 * time.Second)
		}, reason: "3 transactions (70 bytes) were read and nothing of them was published for 10s, more than 8s: store a row"},
		"rescans": {set: func(b *bench) {
			b.backlog = relay.Backlog{Transactions: 3, Since: b.clock}
			b.status.Checkpoint.Snapshot = &checkpoint.Snapshot{Rescan: &checkpoint.Rescan{}}
			b.pass(time.Hour)
		}},
		"lost its position": {set: func(b *bench) {
			b.status.Role, b.status.Trouble = relay.Standby, "the server does not have 0-1-7"
			b.stall(time.Minute)
		}, reason: "is 1m0s old, more than 8s: the server does not have 0-1-7"},
		"standby reads nothing": {set: func(b *bench) { b.lose(refused); b.status.Role = relay.Standby; b.RelayHooks().Role(relay.Standby) }},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench()
			test.set(b)
			r := b.Report(false)
			got := strings.Join(r.Reasons, "; ")
			if r.Ready != (test.reason == "") || !strings.Contains(got, test.reason) {
				t.Errorf("ready %v: %q", r.Ready, got)
			}
		})
	}
}

// lose is a source that was lost ten seconds ago and refused us since, while
// the checkpoint goes on.
func (b *bench) lose(err error) {
	b.ReaderHooks().Connected(binlog.Server{})
	b.ReaderHooks().Disconnected(err)
	b.pass(10 * time.Second)
	b.ReaderHooks().Disconnected(err)
}

func (b *bench) pass(d time.Duration) {
	b.clock = b.clock.Add(d)
	b.status.Stored = b.clock
}

// stall is pass while the checkpoint stands still.
func (b *bench) stall(d time.Duration) { b.clock = b.clock.Add(d) }

func gtid(n uint64) checkpoint.GTID {
	return checkpoint.GTID{Flavor: checkpoint.MariaDB, Server: 1, N: n}
}

// commit is a batch that moves the checkpoint to transaction n.
func commit(n uint64, committed time.Time) relay.Commit {
	c := relay.Commit{Events: 2, Bytes: 100, Oldest: committed, Duration: time.Millisecond}
	c.Checkpoint.Resume.Add(gtid(n))
	c.Checkpoint.Last = &checkpoint.Last{GTID: gtid(n), Committed: committed}
	return c
}

// A standby is ready, but not for who asks for the leader, by the request or for all by configuration.
func TestReadyOnlyLeader(t *testing.T) {
	for name, test := range map[string]struct {
		set    func(*bench)
		query  string
		code   int
		reason string
	}{
		"leader":               {func(*bench) {}, "?leader=1", 200, ""},
		"standby":              {func(b *bench) { b.status.Role, b.status.Leader = relay.Standby, "other" }, "", 200, ""},
		"standby, asked":       {func(b *bench) { b.status.Role, b.status.Leader = relay.Standby, "other" }, "?leader=1", 503, "this process stands by, and the leader was asked for: it is other"},
		"standby, not asked":   {func(b *bench) { b.status.Role = relay.Standby }, "?leader=0", 200, ""},
		"standby, configured":  {func(b *bench) { b.status.Role, b.about.OnlyLeader = relay.Standby, true }, "", 503, "stands by"},
		"standby, nobody else": {func(b *bench) { b.status.Role, b.status.Checkpoint.Released = relay.Standby, true }, "?leader=true", 503, "it is nobody at the moment"},
		"no question":          {func(*bench) {}, "?leader=yes", 400, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench()
			test.set(b)
			rec := httptest.NewRecorder()
			b.Handler(http.NotFoundHandler()).ServeHTTP(rec, httptest.NewRequest("GET", "/readyz"+test.query, nil))
			var r Report
			if rec.Code != 400 {
				if err := json.Unmarshal(rec.Body.Bytes(), &r); err != nil {
					t.Fatal(err)
				}
			}
			if got := strings.Join(r.Reasons, "; "); rec.Code != test.code || test.reason == "" && got != "" || !strings.Contains(got, test.reason) {
				t.Errorf("%d %s", rec.Code, rec.Body)
			}
			live := httptest.NewRecorder()
			b.Handler(http.NotFoundHandler()).ServeHTTP(live, httptest.NewRequest("GET", "/healthz"+test.query, nil))
			if live.Code != 200 {
				t.Errorf("healthz is %d: it is about the process alone", live.Code)
			}
		})
	}
}

func TestLag(t *testing.T) {
	b := newBench()
	read, committed := b.ReaderHooks().Transaction, b.RelayHooks().Committed
	want := func(step string, want time.Duration) {
		t.Helper()
		b.mu.Lock()
		defer b.mu.Unlock()
		if got := b.lag.at(b.clock, b.link); got != want {
			t.Errorf("%s: %s, want %s", step, got, want)
		}
	}
	want("nothing happened", 0)
	first := b.clock
	read(gtid(1), first, 1)
	b.pass(3 * time.Second)
	want("one is waiting", 3*time.Second)
	committed(commit(1, first))
	b.pass(time.Hour)
	want("published, and idle since", 0)

	second := b.clock
	committed(commit(2, second))
	read(gtid(2), second, 1) // the hook comes behind the publication
	b.pass(time.Hour)
	want("hook that comes late", 0)

	read(gtid(3), b.clock.Add(-2*time.Hour), 0) // of another table, and old
	want("an old log is being read", 2*time.Hour)
	read(gtid(4), b.clock, 0)
	want("caught up", 0)
	read(gtid(5), b.clock.Add(time.Second), 0)
	want("a clock that is ahead", 0)

	b.ReaderHooks().Disconnected(errors.New("gone"))
	b.pass(5 * time.Second)
	want("source is lost", 5*time.Second)
	b.RelayHooks().Role(relay.Standby)
	want("standby", 0)
}

func TestEndpoints(t *testing.T) {
	b := newBench()
	server, err := Listen("127.0.0.1:0", nil, b.Handler(http.NotFoundHandler()), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	defer http.DefaultClient.CloseIdleConnections()
	b.RelayHooks().Role(relay.Leader)
	b.ReaderHooks().Connected(binlog.Server{})
	b.RelayHooks().Committed(commit(1, b.clock.Add(time.Second))) // MariaDB: in the future
	b.RelayHooks().Committed(relay.Commit{})                      // a heartbeat
	b.RelayHooks().Committed(relay.Commit{Alone: true, Events: 1, Bytes: 9})
	refused := &relay.RefusedError{Code: 10071}
	b.RelayHooks().Settled("retry", fmt.Errorf("x: %w", refused)) // asked twice, and refused once
	b.RelayHooks().Settled("resend", errors.Join(refused, errors.New("y")))
	b.ReaderHooks().Transaction(gtid(1), b.clock, 2)

	if code, body := get(t, server, "/healthz"); code != 200 || body != "ok\n" {
		t.Errorf("healthz: %d %q", code, body)
	}
	if code, _ := get(t, server, "/nothing"); code != 404 {
		t.Errorf("unknown path: %d", code)
	}
	code, body := get(t, server, "/readyz")
	var r Report
	if err := json.Unmarshal([]byte(body), &r); err != nil || code != 200 || !r.Ready || r.Role != relay.Leader || r.Checkpoint.Seq != 7 {
		t.Errorf("readyz: %d %s (%v)", code, body, err)
	}
	if x := r.Checkpoint.XA; x == nil || x.Count != 1 || x.OldestXID != "b" || x.OldestSeconds < 60 || r.LeaderSince == nil || !r.LeaderSince.Equal(b.clock.Add(-time.Hour)) {
		t.Errorf("readyz: %s", body)
	}
	_, metrics := get(t, server, "/metrics")
	for _, line := range []string{
		`binjet_events_published_total{source="shop"} 3`, `binjet_lone_events_total{source="shop"} 1`, `binjet_batches_total{source="shop"} 1`, `binjet_checkpoints_total{source="shop"} 2`,
		`binjet_relay_role{role="leader",source="shop"} 1`, `binjet_relay_role{role="standby",source="shop"} 0`,
		`binjet_leader_info{instance="me",source="shop"} 1`, `binjet_leader_since_timestamp_seconds{source="shop"} 996400`,
		`binjet_relay_epoch{source="shop"} 3`, `binjet_checkpoint_sequence{source="shop"} 7`, `binjet_settlements_total{cause="refused",source="shop",verdict="resend"} 1`, `binjet_refused_writes_total{code="10071",source="shop"} 1`,
		`binjet_commit_to_published_seconds_sum{source="shop"} 0`, `binjet_source_rows_total{source="shop"} 2`, `binjet_lag_seconds{source="shop"} 0`,
		`binjet_ready{source="shop"} 1`, `binjet_xa_undecided{source="shop"} 1`, `binjet_xa_oldest_seconds{source="shop"} `, `binjet_source_connected{source="shop"} 1`, `binjet_nats_connected{source="shop"} 1`, "go_goroutines ", "process_start_time_seconds ",
	} {
		if !strings.Contains(metrics, "\n"+line) {
			t.Errorf("no line %q in:\n%s", line, metrics)
		}
	}

	b.status.Role = relay.Standby
	if _, metrics = get(t, server, "/metrics"); strings.Contains(metrics, "\nbinjet_lag_seconds") || strings.Contains(metrics, "\nbinjet_source_connected{") {
		t.Error("a standby reports what only a leader knows")
	}
	b.status.Role = relay.Stopped
	if code, _ := get(t, server, "/readyz"); code != http.StatusServiceUnavailable {
		t.Errorf("readyz of a stopped relay: %d", code)
	}
}

func get(t *testing.T, s *Server, path string) (int, string) {
	t.Helper()
	res, err := http.Get("http://" + s.Addr() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func TestListenOnTakenAddress(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if s, err := Listen(l.Addr().String(), nil, http.NotFoundHandler(), slog.New(slog.DiscardHandler)); err == nil {
		s.Close()
		t.Error("two servers listen on one address")
	}
	(*Server)(nil).Close()
}
