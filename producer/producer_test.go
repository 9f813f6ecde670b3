package producer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/binjet/binjet"
)

type call struct {
	query string
	args  []any
}

// recorder is an Execer that keeps what it is given.
type recorder struct {
	mu    sync.Mutex
	calls []call
	fail  int // the call, from 1, that fails; 0 is none
}

var errDatabase = errors.New("the database says no")

func (r *recorder) ExecContext(_ context.Context, query string, args ...any) (sql.Result, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, call{query, args})
	if len(r.calls) == r.fail {
		return nil, errDatabase
	}
	return nil, nil
}

// pool is a recorder that has a method of *sql.DB which no transaction has.
type pool struct{ recorder }

func (*pool) SetMaxOpenConns(int) {}

func mustNew(tb testing.TB, cfg Config) *Producer {
	tb.Helper()
	p, err := New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func message(topic string) *binjet.Message {
	return &binjet.Message{Topic: topic, Payload: []byte("{}")}
}

func TestInsertOne(t *testing.T) {
	var tx recorder
	m := &binjet.Message{
		ID: "id-1", Topic: "orders.created", Key: "ключ", Payload: []byte{0, 0xff, '\''},
		ContentType: "application/json", Headers: binjet.Headers{"x": {"y"}}, ExpireAfter: 30 * time.Second,
		CreatedAt: time.Unix(1, 0),
	}
	if err := mustNew(t, Config{Table: "shop.events"}).Insert(t.Context(), &tx, m); err != nil {
		t.Fatal(err)
	}
	want := call{
		"INSERT INTO `shop`.`events` (id, topic, message_key, headers, payload) VALUES (?,?,?,?,?)",
		[]any{"id-1", "orders.created", "ключ", []byte(`{"x":"y","Content-Type":"application/json","Nats-TTL":"30s"}`), []byte{0, 0xff, '\''}},
	}
	if len(tx.calls) != 1 || !reflect.DeepEqual(tx.calls[0], want) {
		t.Fatalf("got %q, want %q", tx.calls, want)
	}
}

func TestInsertSetsIDAndNulls(t *testing.T) {
	var tx recorder
	m := message("a")
	if err := mustNew(t, Config{}).Insert(t.Context(), &tx, m); err != nil {
		t.Fatal(err)
	}
	args := tx.calls[0].args
	if m.ID == "" || args[0] != m.ID {
		t.Fatalf("the message has ID %q, the row %v", m.ID, args[0])
	}
	if args[2] != nil || args[3] != nil {
		t.Fatalf("no key and no headers must be NULL, got %#v, %#v", args[2], args[3])
	}
}

func TestInsertNothing(t *testing.T) {
	var tx recorder
	if err := mustNew(t, Config{}).Insert(t.Context(), &tx); err != nil || len(tx.calls) != 0 {
		t.Fatalf("got %v, %v", err, tx.calls)
	}
}

func TestInsertManyIsOneStatement(t *testing.T) {
	for _, n := range []int{2, readyRows - 1, readyRows, readyRows + 1, maxRows} {
		var tx recorder
		msgs := make([]*binjet.Message, n)
		for i := range msgs {
			msgs[i] = message("a")
		}
		if err := mustNew(t, Config{}).Insert(t.Context(), &tx, msgs...); err != nil {
			t.Fatal(err)
		}
		if len(tx.calls) != 1 || len(tx.calls[0].args) != n*columns || strings.Count(tx.calls[0].query, "?") != n*columns {
			t.Fatalf("%d messages: %d statements", n, len(tx.calls))
		}
		if q := tx.calls[0].query; strings.Contains(q, "VALUES ,") || strings.Count(q, "),(") != n-1 || !strings.HasSuffix(q, ")") {
			t.Fatalf("got %s", q)
		}
	}
}

func TestInsertSplits(t *testing.T) {
	for name, c := range map[string]struct {
		cfg      Config
		messages int
		payload  int
		want     []int // rows of each statement
	}{
		"by placeholders":      {Config{}, maxRows + 2, 1, []int{maxRows, 2}},
		"by bytes":             {Config{MaxBytes: 1000, MaxStatementBytes: 2500}, 5, 1000, []int{2, 2, 1}},
		"exactly by bytes":     {Config{MaxBytes: 1000, MaxStatementBytes: 2 * (rowOverhead + 36 + 1 + 1000)}, 4, 1000, []int{2, 2}},
		"each by itself":       {Config{MaxBytes: 1000, MaxStatementBytes: 1000}, 3, 1000, []int{1, 1, 1}},
		"default for big ones": {Config{MaxBytes: 8 << 20}, 3, 7 << 20, []int{2, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			var tx recorder
			var want, got []string
			msgs := make([]*binjet.Message, c.messages)
			for i := range msgs {
				msgs[i] = &binjet.Message{ID: fmt.Sprintf("%036d", i), Topic: "a", Payload: make([]byte, c.payload)}
				want = append(want, msgs[i].ID)
			}
			if err := mustNew(t, c.cfg).Insert(t.Context(), &tx, msgs...); err != nil {
				t.Fatal(err)
			}
			var rows []int
			for _, call := range tx.calls {
				rows = append(rows, len(call.args)/columns)
				for i := 0; i < len(call.args); i += columns {
					got = append(got, call.args[i].(string))
				}
			}
			if !reflect.DeepEqual(rows, c.want) || !reflect.DeepEqual(got, want) {
				t.Fatalf("rows of statements %v, want %v, in order: %t", rows, c.want, reflect.DeepEqual(got, want))
			}
		})
	}
}

func TestInsertThroughPoolIsOneStatementOrNone(t *testing.T) {
	p := mustNew(t, Config{MaxBytes: 100, MaxStatementBytes: 250})
	msgs := []*binjet.Message{message("a"), message("b"), message("c")}
	var db pool
	if err := p.Insert(t.Context(), &db, msgs...); !errors.Is(err, ErrNotAtomic) || len(db.calls) != 0 {
		t.Fatalf("got %v after %d statements", err, len(db.calls))
	}
	if err := p.Insert(t.Context(), &db, msgs[:2]...); err != nil || len(db.calls) != 1 {
		t.Fatalf("what fits in a statement needs no transaction: %v", err)
	}
	if _, is := any(new(sql.DB)).(interface{ SetMaxOpenConns(int) }); !is {
		t.Fatal("a *sql.DB is not seen as a pool")
	}
}

func TestInsertDatabaseError(t *testing.T) {
	tx := recorder{fail: 2}
	p := mustNew(t, Config{MaxBytes: 100, MaxStatementBytes: 250})
	err := p.Insert(t.Context(), &tx, message("a"), message("b"), message("c"), message("d"), message("e"))
	if !errors.Is(err, errDatabase) || !strings.Contains(err.Error(), "insert into `outbox`, messages 3 to 4 of 5: ") {
		t.Fatalf("got %v", err)
	}
	if len(tx.calls) != 2 {
		t.Fatalf("went on after an error: %d statements", len(tx.calls))
	}
}

func TestInsertRefuses(t *testing.T) {
	now := func() time.Time { return time.Unix(1000, 0) }
	reserved := func(_ context.Context, h binjet.Headers) { h.Set("Nats-X", "1") }
	same := message("a")
	for name, c := range map[string]struct {
		cfg  Config
		msgs []*binjet.Message
		want []string
	}{
		"invalid":            {Config{}, []*binjet.Message{message("ok"), message(""), message("*")}, []string{"msgs[1]: ", "topic is empty", "msgs[2]: ", "wildcard"}},
		"nil":                {Config{}, []*binjet.Message{nil}, []string{"msgs[0]: message: message is nil"}},
		"one pointer twice":  {Config{}, []*binjet.Message{same, message("b"), same}, []string{"msgs[2]: ", "ID is that of msgs[0] too"}},
		"one ID twice":       {Config{}, []*binjet.Message{{ID: "x", Topic: "a", Payload: []byte("1")}, {ID: "x", Topic: "b", Payload: []byte("1")}}, []string{`message "x" on topic "b": ID is that of msgs[0] too`}},
		"payload":            {Config{MaxBytes: 10}, []*binjet.Message{{Topic: "a", Payload: make([]byte, 11)}}, []string{"11 bytes, more than the 10"}},
		"headers":            {Config{MaxBytes: 10}, []*binjet.Message{{Topic: "a", Payload: make([]byte, 10), ContentType: "a"}}, []string{"27 bytes, more than the 10"}},
		"no ID made":         {Config{NewID: func() string { return "" }}, []*binjet.Message{message("a")}, []string{"NewID returned an empty ID"}},
		"bad ID made":        {Config{NewID: func() string { return "é" }}, []*binjet.Message{message("a")}, []string{"ID \"é\" holds"}},
		"one ID made twice":  {Config{NewID: func() string { return "1" }}, []*binjet.Message{message("a"), message("b")}, []string{"msgs[1]: ", "ID is that of"}},
		"injected":           {Config{Inject: reserved}, []*binjet.Message{message("a")}, []string{`header "Nats-X" is reserved`}},
		"expires before due": {Config{Now: now}, []*binjet.Message{{Topic: "a", Payload: []byte("1"), ExpireAfter: time.Second, DeliverAt: now().Add(time.Second)}}, []string{"expire before DeliverAt"}},
	} {
		t.Run(name, func(t *testing.T) {
			var tx recorder
			err := mustNew(t, c.cfg).Insert(t.Context(), &tx, c.msgs...)
			if !errors.Is(err, binjet.ErrInvalid) {
				t.Fatalf("got %v, want one that is ErrInvalid", err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %q", err, want)
				}
			}
			if len(tx.calls) != 0 {
				t.Error("a statement was sent all the same")
			}
		})
	}
	if err := mustNew(t, Config{}).Insert(t.Context(), nil, message("a")); err == nil || !strings.Contains(err.Error(), "tx is nil") {
		t.Fatalf("got %v", err)
	}
}

func TestInsertKeepsIDs(t *testing.T) {
	tx := recorder{fail: 1}
	p := mustNew(t, Config{})
	m := message("a")
	if err := p.Insert(t.Context(), &tx, m); err == nil {
		t.Fatal("no error")
	}
	if err := p.Insert(t.Context(), &tx, m); err != nil {
		t.Fatal(err)
	}
	if tx.calls[0].args[0] != tx.calls[1].args[0] {
		t.Fatal("the second attempt has another ID, and would be published twice")
	}
}

func TestInject(t *testing.T) {
	type key struct{}
	p := mustNew(t, Config{Inject: func(ctx context.Context, h binjet.Headers) {
		if v, ok := ctx.Value(key{}).(string); ok {
			h.Set("traceparent", v)
			h.Set("tracestate", "s")
		}
	}})
	plain, own, traced := message("a"), message("a"), message("a")
	own.Headers = binjet.Headers{"x": {"y"}}
	traced.Headers = binjet.Headers{"traceparent": {"mine"}}
	var tx recorder
	if err := p.Insert(context.WithValue(t.Context(), key{}, "ctx"), &tx, plain, own, traced); err != nil {
		t.Fatal(err)
	}
	if err := p.Insert(t.Context(), &tx, message("a")); err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%s %s %s %v", tx.calls[0].args[3], tx.calls[0].args[8], tx.calls[0].args[13], tx.calls[1].args[3])
	const want = `{"traceparent":"ctx","tracestate":"s"} {"traceparent":"ctx","tracestate":"s","x":"y"} {"traceparent":"mine"} <nil>`
	if got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
	if len(plain.Headers) != 0 || len(own.Headers) != 1 {
		t.Fatal("the caller's headers were changed")
	}
}

func TestNewReportsAllFaults(t *testing.T) {
	_, err := New(Config{Table: "a`b", MaxBytes: -1, MaxStatementBytes: -2})
	for _, want := range []string{"producer config: ", "table ", "MaxBytes is -1", "MaxStatementBytes is -2"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	for _, cfg := range []Config{
		{MaxStatementBytes: maxPacket + 1},
		{MaxBytes: 100, MaxStatementBytes: 99},
		{Table: "a.b.c"},
	} {
		if p, err := New(cfg); err == nil || p != nil {
			t.Errorf("%+v is accepted", cfg)
		}
	}
}

func TestProducerIsForSeveralGoroutines(t *testing.T) {
	var tx recorder
	p := mustNew(t, Config{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if err := p.Insert(context.Background(), &tx, message("a"), message("b")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	seen := map[any]bool{}
	for _, c := range tx.calls {
		seen[c.args[0]], seen[c.args[columns]] = true, true
	}
	if len(seen) != 800 {
		t.Fatalf("%d IDs, want 800", len(seen))
	}
}
