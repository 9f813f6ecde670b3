package status

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/checkpoint/store"
	"github.com/binjet/binjet/cmd/binjet/internal/presence"
	"github.com/binjet/binjet/internal/natstest"
	"github.com/binjet/binjet/relay"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// source is a server of MariaDB whose binlog ends at number end.
type source struct {
	end    uint64
	err    error
	verify error
	late   time.Duration // of the first transaction behind a position
	busy   uint64        // transactions between two looks
}

func at(n uint64) checkpoint.Position {
	p := checkpoint.Position{Flavor: checkpoint.MariaDB}
	if n > 0 {
		p.Resume.Add(checkpoint.GTID{Flavor: checkpoint.MariaDB, Server: 1, N: n})
	}
	return p
}

func (s *source) Survey(_ context.Context, p *checkpoint.Position) (*binlog.Survey, error) {
	if s.err != nil {
		return nil, s.err
	}
	v := &binlog.Survey{Server: binlog.Server{Flavor: checkpoint.MariaDB, Version: "11.8", Executed: at(s.end).Resume}, End: at(s.end),
		Now: time.Now().Round(time.Minute), Keep: time.Hour, Needed: -1}
	v.Logs = []binlog.Log{{Name: "b.000001", Size: 10, Begun: v.Now.Add(-2 * time.Hour)}, {Name: "b.000002", Size: 20, Begun: v.Now.Add(-50 * time.Minute)}}
	s.end += s.busy
	if p != nil {
		last, _ := p.Resume.Domain(0)
		v.Behind, v.Needed = s.end-last.N, 1
		if v.Behind > 0 {
			v.Needed = 0
		}
	}
	return v, nil
}

func (s *source) Verify(context.Context, checkpoint.Position) error { return s.verify }

func (s *source) Passage(context.Context, checkpoint.Position, checkpoint.Position, func(*checkpoint.Transaction) bool) (binlog.Passage, error) {
	return binlog.Passage{Transactions: 1, First: time.Now().Round(time.Minute).Add(-s.late)}, nil
}

// idle is a relay's source that yields nothing.
type idle struct{ *source }

func (idle) Begin(context.Context) (checkpoint.Position, error) { return at(3), nil }
func (idle) Stream(ctx context.Context, _ checkpoint.Position, _ func(*checkpoint.Transaction) error) error {
	<-ctx.Done()
	return ctx.Err()
}

// world is a broker with a relay that leads until stop.
func world(t *testing.T, src *source) (nc *nats.Conn, stop func()) {
	t.Helper()
	nc = natstest.Start(t).Connect(t)
	leading := make(chan struct{}, 1)
	r, err := relay.New(relay.Config{Source: idle{src}, Name: "shop", Conn: nc, Manage: true, Instance: "host:1", Heartbeat: 100 * time.Millisecond,
		Hooks: relay.Hooks{Committed: func(relay.Commit) {
			select {
			case leading <- struct{}{}:
			default:
			}
		}}})
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = r.Run(ctx) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	<-leading
	return nc, stop
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func look(t *testing.T, nc *nats.Conn, src *source) *Report {
	t.Helper()
	cfg := Config{Source: "shop", SourceAddress: "db:3306", Reader: src, Conn: nc, Stream: "OUTBOX", StreamAddress: "nats://n:4222",
		Heartbeat: 100 * time.Millisecond, Sample: 300 * time.Millisecond, MaxLag: time.Minute, ConnNext: "start it"}
	if nc == nil {
		cfg.ConnError = errors.New("no way to the broker")
	}
	r, err := Collect(t.Context(), cfg)
	must(t, err)
	return r
}

func text(t *testing.T, r *Report) string {
	t.Helper()
	var b strings.Builder
	must(t, r.Text(&b))
	return b.String()
}

func wants(t *testing.T, r *Report, healthy bool, words ...string) {
	t.Helper()
	got := text(t, r)
	if r.Healthy != healthy || strings.HasSuffix(got, "healthy\n") != healthy {
		t.Errorf("healthy: %v", r.Healthy)
	}
	for _, w := range words {
		if !strings.Contains(strings.Join(strings.Fields(got), " "), w) {
			t.Errorf("no %q in\n%s", w, got)
		}
	}
}

func TestHealthy(t *testing.T) {
	src := &source{end: 3}
	nc, stop := world(t, src)
	r := look(t, nc, src)
	wants(t, r, true, "relay host:1:", "leads", "position 0-1-3", "lag 0 transactions", "still needed from b.000002 on (20 B)", "kept for 1h0m", "published 0 events, 0/s")
	if *r.Source.LagSeconds != 0 || r.Relay.Copies == nil || !r.Relay.Alive {
		t.Errorf("%+v", r)
	}
	stop()
	wants(t, look(t, nc, src), false, "has stopped", "PROBLEM nobody leads: host:1:", "next: start binjet run")
}

func TestBehind(t *testing.T) {
	src := &source{end: 3, late: 2 * time.Minute}
	nc, _ := world(t, src)
	src.end = 10
	wants(t, look(t, nc, src), false, "lag 7 transactions, the oldest from 2m0s ago", "PROBLEM the stream is 2m0s behind",
		"from b.000001 on (30 B in 2 files): do not purge it; kept for 10m0s more", "PROBLEM binlog b.000001 has still to be read and is kept for 10m0s more")
}

// Each side is shown while the other one is down.
func TestOneSideDown(t *testing.T) {
	src := &source{end: 3}
	wants(t, look(t, nil, src), false, "ends at 0-1-3", "DOWN no way to the broker", "next: start it")
	nc, _ := world(t, src)
	wants(t, look(t, nc, &source{err: errors.New("no way to the source")}), false, "DOWN no way to the source", "position 0-1-3", "leads")
	halt := &checkpoint.HaltError{Problem: "the binlogs are purged", Hint: "rescan"}
	wants(t, look(t, nc, &source{end: 3, verify: fmt.Errorf("verify: %w", halt)}), false, "PROBLEM the source can't be read on from the position: the binlogs are purged", "next: rescan")
}

func TestConsumersAndDeadLetters(t *testing.T) {
	src := &source{end: 3}
	nc, _ := world(t, src)
	js, err := jetstream.New(nc)
	must(t, err)
	for i := range 3 {
		_, err := js.Publish(t.Context(), "outbox.orders", fmt.Append(nil, i))
		must(t, err)
	}
	_, err = js.CreateConsumer(t.Context(), "OUTBOX", jetstream.ConsumerConfig{Durable: "billing", FilterSubject: "outbox.orders", AckPolicy: jetstream.AckExplicitPolicy})
	must(t, err)
	for _, subject := range []string{"dlq.OUTBOX.billing.orders", "dlq.OUTBOX.billing.other", "dlq.OUTBOX.shop._invalid", "dlq.OUTBOX.$replay.billing.orders"} {
		_, err := js.Publish(t.Context(), subject, nil)
		must(t, err)
	}
	busy, err := js.CreateConsumer(t.Context(), "OUTBOX", jetstream.ConsumerConfig{Durable: "shipping", FilterSubject: "outbox.orders", AckPolicy: jetstream.AckExplicitPolicy})
	must(t, err)
	floor := uint64(0)
	for try := range 3 { // the first is handled, the second comes twice, the third is not fetched
		m, err := busy.Next()
		must(t, err)
		meta, err := m.Metadata()
		must(t, err)
		switch try {
		case 0:
			must(t, m.DoubleAck(t.Context()))
			floor = meta.Sequence.Stream
		case 1:
			_, err := nc.RequestWithContext(t.Context(), m.Reply(), []byte("-NAK")) // Nak does not wait until it is known
			must(t, err)
		}
	}
	r := look(t, nc, src)
	wants(t, r, true, fmt.Sprintf("shipping 1 1 1 %d ", floor))
	if r.DeadLetters.Count != 3 || r.DeadLetters.By["billing"] != 2 || r.DeadLetters.By["shop"] != 1 || r.DeadLetters.Replays != 1 {
		t.Errorf("%+v", r.DeadLetters)
	}
	wants(t, r, true, "billing 3 0 0 0 never", "dead letters in OUTBOX_DLQ: 3", "warning consumer billing has 3 events to handle and does not ask for any", "warning 3 dead letters")
}

// Who stands by is shown, with what would keep it from taking over.
func TestStandbys(t *testing.T) {
	src := &source{end: 3}
	nc, _ := world(t, src)
	wants(t, look(t, nc, src), true, "standbys not known: no relay answered on binjet.status.OUTBOX.shop")
	answer := func(instance string, role relay.Role, unreadable error) {
		t.Helper()
		p := presence.Process{Instance: instance, Role: role, Since: time.Now().Add(-time.Hour), WaitsFor: "host:1"}
		stop, err := presence.Answer(presence.Config{Conn: nc, Subject: presence.Subject("OUTBOX", "shop"), Log: slog.New(slog.DiscardHandler),
			Process: func() presence.Process { return p }, Look: func(context.Context) error { return unreadable }})
		must(t, err)
		t.Cleanup(stop)
	}
	answer("host:1", relay.Leader, nil)
	wants(t, look(t, nc, src), true, "standby none: nobody would take over")
	answer("host:2", relay.Standby, nil)
	answer("host:3", relay.Standby, errors.New("no route to db:3306"))
	r := look(t, nc, src)
	wants(t, r, true, "(1h0m), could take over", "standby host:3 since", "CAN'T take over: no route to db:3306", "warning standby host:3 could not take over: no route to db:3306")
	if list := r.Relay.Processes; len(list) != 3 || list[0].Role != relay.Leader || len(r.Warnings) != 1 {
		t.Errorf("%+v, %+v", list, r.Warnings)
	}
}

// An XA transaction and what an operator set are shown.
func TestRelayDetails(t *testing.T) {
	var r Relay
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	held := heldAt(now)
	r.fill(held, now)
	report := &Report{At: now, Relay: r, Stream: Stream{Name: "OUTBOX"}, DeadLetters: DeadLetters{}}
	c := &collector{report: report}
	c.judgeRelay()
	wants(t, report, false, "undecided XA X'61',X'',1, 2 outbox rows, for 1h0m", "was set by ann@host at 2026-01-02T03:04:05Z from 0-1-1 to 0-1-2: because",
		"warning XA transaction X'61',X'',1 with 2 outbox rows is undecided for 1h0m", "in parts 0-1-9", "snapshot table shop.outbox, 5 rows of about 10")
}

func heldAt(now time.Time) store.Held {
	gtid := checkpoint.GTID{Flavor: checkpoint.MariaDB, Server: 1, N: 9}
	p := at(8)
	p.XA = []checkpoint.XA{{XID: "X'61',X'',1", GTID: gtid, Rows: 2, Since: now.Add(-time.Hour)}}
	p.Partial = &checkpoint.Partial{GTID: gtid}
	p.Snapshot = &checkpoint.Snapshot{Begun: true, Table: "shop.outbox", Rows: 5, Estimate: 10}
	return store.Held{Seq: 4, Checkpoint: checkpoint.Checkpoint{Epoch: 2, Instance: "host:1", At: now, Since: now, Position: p,
		Set: &checkpoint.Set{By: "ann@host", Reason: "because", At: now, From: "0-1-1", To: "0-1-2"}}}
}

// Rates are of what is committed and published between the two looks.
func TestRates(t *testing.T) {
	src := &source{end: 3}
	nc, stop := world(t, src)
	stop() // so that nobody else writes the checkpoint
	st := store.New(nc, "OUTBOX", "shop")
	held, err := st.Load(t.Context())
	must(t, err)
	src.busy = 6
	cfg := Config{Source: "shop", Reader: src, Conn: nc, Stream: "OUTBOX", Sample: 2 * time.Second}
	cfg.Reader = published{src, func() {
		c := held.Checkpoint
		c.Count += 60
		data, err := c.Encode()
		must(t, err)
		must(t, nc.Publish(st.Subject(), data))
		must(t, nc.Flush())
	}}
	r, err := Collect(t.Context(), cfg)
	must(t, err)
	commits, events := r.Source.TransactionsPerSecond, r.Relay.EventsPerSecond
	if commits == nil || events == nil || *commits <= 0 || *commits > 20 || *events <= 0 || *events > 200 {
		t.Fatalf("%+v, %+v", r.Source, r.Relay)
	}
	wants(t, r, false, fmt.Sprintf("; %.0f commits/s", *commits), fmt.Sprintf("published 60 events, %.0f/s", *events))
}

// published is a source beside which events are published when it is asked first.
type published struct {
	*source
	publish func()
}

func (p published) Survey(ctx context.Context, at *checkpoint.Position) (*binlog.Survey, error) {
	if at != nil {
		p.publish()
	}
	return p.source.Survey(ctx, at)
}
