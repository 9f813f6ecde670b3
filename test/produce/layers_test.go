package produce

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/examples/layers/shop"
	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/producer"
	"github.com/binjet/binjet/producer/codec"
	"github.com/binjet/binjet/producer/producertest"
	"github.com/binjet/binjet/test/internal/testdb"
)

// handle is what a data layer has for a transaction, or in place of one.
type handle interface {
	producer.Execer
	producertest.Queryer
}

// order inserts an order by the data layer's own means, in the transaction.
type order func(id string) error

// layer is a data layer.
type layer struct {
	place  func(ctx context.Context, placed *shop.Placed, o shop.Order) error // the example
	inTx   func(ctx context.Context, fn func(tx handle, place order) error) error
	nested func(ctx context.Context, outer, inner func(tx handle) error) error // inner fails, outer does not; nil: there is none
	pool   handle
}

// TestDataLayers proves, for each data layer, on both flavours, with statements and
// with interpolated ones: an order and its event share their fate, whatever the
// event holds. There is one connection, so nothing may ask for a second.
func TestDataLayers(t *testing.T) {
	eachFlavor(t, func(t *testing.T, s *dbserver.Server) {
		for _, params := range []string{"", "?interpolateParams=true"} {
			for name, newLayer := range layers() {
				t.Run(name+params, func(t *testing.T) {
					dsn := schema(t, s, params)
					look, db := testdb.Open(t, dsn), testdb.Open(t, dsn)
					db.SetMaxOpenConns(1)
					exec(t, look, shop.Schema)
					l := newLayer(t, db)
					for name, test := range map[string]func(t *testing.T, l layer, db, look *sql.DB){
						"example": testExample, "values": testValues, "rollback": testRollback, "panic": testPanic,
						"split": testSplit, "prepared": testPrepared, "pool": testPool, "nested": testNested,
					} {
						t.Run(name, func(t *testing.T) {
							exec(t, look, "DELETE FROM outbox")
							exec(t, look, "DELETE FROM orders")
							test(t, l, db, look)
							if in := db.Stats().InUse; in != 0 {
								t.Errorf("%d connections were not given back", in)
							}
						})
					}
				})
			}
		}
	})
}

// counts are those of orders and events, as another connection sees them.
func wantCounts(t *testing.T, look *sql.DB, orders, events int) {
	t.Helper()
	var o, e int
	must(t, look.QueryRowContext(t.Context(), "SELECT (SELECT COUNT(*) FROM orders), (SELECT COUNT(*) FROM outbox)").Scan(&o, &e))
	if o != orders || e != events {
		t.Errorf("%d orders and %d events, want %d and %d", o, e, orders, events)
	}
}

func testExample(t *testing.T, l layer, _, look *sql.DB) {
	placed, err := shop.NewPlaced()
	must(t, err)
	must(t, l.place(t.Context(), placed, shop.Order{ID: "1", Total: 12}))
	wantCounts(t, look, 1, 1)
	producertest.RequireInserted(t, look, producertest.Topic("orders.placed"), producertest.Key("1"),
		producertest.Header("service", "shop"), producertest.Value(codec.JSON{}, shop.Order{ID: "1", Total: 12}))
	if err := l.place(t.Context(), placed, shop.Order{ID: "1", Total: 13}); err == nil {
		t.Error("an order was placed twice")
	}
	if err := l.place(t.Context(), placed, shop.Order{ID: "2\n", Total: 12}); !errors.Is(err, binjet.ErrInvalid) {
		t.Errorf("the event is invalid, and got %v", err)
	}
	wantCounts(t, look, 1, 1)
}

// nasty is whatever a data layer might take for its own.
func nasty() []*binjet.Message {
	all := make([]byte, 0, 512)
	for i := range 512 {
		all = append(all, byte(i))
	}
	return []*binjet.Message{
		{ID: "1", Topic: "a.'\\?:x@y;--", Key: `?'"\%s :name @p1 ключ 𝄞`, ContentType: "a/b; c=\"?\"", Headers: binjet.Headers{"x": {`'?\`, "é"}}, Payload: all},
		{ID: "2?'", Topic: "b", Payload: []byte("?")},
		{ID: "3", Topic: "b", Key: "\\", Payload: []byte(`{"a":"it's ? \" \\ :a @b"}`)},
		{ID: "4", Topic: "b", Payload: []byte{0}},
		{ID: "5", Topic: "b", Payload: bytes.Repeat([]byte{'\''}, 100_000)},
	}
}

func testValues(t *testing.T, l layer, _, look *sql.DB) {
	want := nasty()
	must(t, l.inTx(t.Context(), func(tx handle, place order) error {
		return newProducer(t, producer.Config{}).Insert(t.Context(), tx, want...)
	}))
	got := producertest.Inserted(t, look)
	if len(got) != len(want) {
		t.Fatalf("%d messages, want %d", len(got), len(want))
	}
	for i, m := range got {
		if w := want[i]; m.ID != w.ID || m.Topic != w.Topic || m.Key != w.Key || m.ContentType != w.ContentType ||
			fmt.Sprint(m.Headers) != fmt.Sprint(w.Headers) || !bytes.Equal(m.Payload, w.Payload) {
			t.Errorf("got %.1000q, want %.1000q", fmt.Sprint(*m), fmt.Sprint(*w))
		}
	}
	var nulls int
	must(t, look.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM outbox WHERE message_key IS NULL AND headers IS NULL").Scan(&nulls))
	if nulls != 3 {
		t.Errorf("%d rows are without key and headers, want 3", nulls)
	}
}

func testRollback(t *testing.T, l layer, _, look *sql.DB) {
	p, no := newProducer(t, producer.Config{}), errors.New("no")
	err := l.inTx(t.Context(), func(tx handle, place order) error {
		must(t, place("1"))
		must(t, p.Insert(t.Context(), tx, event(1), event(2)))
		producertest.RequireInserted(t, tx, producertest.Key("2"), producertest.Payload([]byte("2")))
		producertest.RequireNotInserted(t, look)
		return no
	})
	if !errors.Is(err, no) {
		t.Errorf("got %v", err)
	}
	wantCounts(t, look, 0, 0)
}

func testPanic(t *testing.T, l layer, _, look *sql.DB) {
	p := newProducer(t, producer.Config{})
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_ = l.inTx(t.Context(), func(tx handle, place order) error {
			must(t, errors.Join(place("1"), p.Insert(t.Context(), tx, event(1))))
			panic("oh")
		})
	}()
	wantCounts(t, look, 0, 0)
}

// An insert of several statements, of which the last fails, leaves nothing.
func testSplit(t *testing.T, l layer, _, look *sql.DB) {
	p := newProducer(t, producer.Config{MaxBytes: 1000, MaxStatementBytes: 1500})
	msgs := make([]*binjet.Message, 100)
	for i := range msgs {
		msgs[i] = event(i)
	}
	insert := func(msgs ...*binjet.Message) error {
		return l.inTx(t.Context(), func(tx handle, place order) error {
			return errors.Join(place(msgs[0].Key), p.Insert(t.Context(), tx, msgs...))
		})
	}
	must(t, insert(msgs...))
	wantCounts(t, look, 1, 100)
	more := make([]*binjet.Message, 50)
	for i := range more {
		more[i] = event(100 + i)
	}
	if err := insert(append(more, msgs[99])...); err == nil {
		t.Error("an ID was inserted twice")
	}
	wantCounts(t, look, 1, 100)
}

// A Producer with kept statements takes what has no StmtContext, too.
func testPrepared(t *testing.T, l layer, db, look *sql.DB) {
	p, err := newProducer(t, producer.Config{}).Prepare(t.Context(), db, 1, 2)
	must(t, err)
	defer func() { must(t, p.Close()) }()
	for i := range 2 {
		must(t, l.inTx(t.Context(), func(tx handle, place order) error {
			return errors.Join(place(fmt.Sprint(i)), p.Insert(t.Context(), tx, event(1)), p.Insert(t.Context(), tx, event(2), event(3)))
		}))
	}
	wantCounts(t, look, 2, 6)
}

// Outside of a transaction one statement is one, and several are refused.
func testPool(t *testing.T, l layer, _, look *sql.DB) {
	p := newProducer(t, producer.Config{MaxBytes: 1000, MaxStatementBytes: 1500})
	must(t, p.Insert(t.Context(), l.pool, event(1), event(2)))
	wantCounts(t, look, 0, 2)
	var many []*binjet.Message
	for i := range 100 {
		many = append(many, event(i))
	}
	if err := p.Insert(t.Context(), l.pool, many...); !errors.Is(err, producer.ErrNotAtomic) {
		t.Errorf("got %v", err)
	}
	wantCounts(t, look, 0, 2)
}

// What a nested transaction that fails has inserted is gone; the outer one stays.
func testNested(t *testing.T, l layer, _, look *sql.DB) {
	if l.nested == nil {
		return
	}
	p, no := newProducer(t, producer.Config{}), errors.New("no")
	must(t, l.nested(t.Context(),
		func(tx handle) error { return p.Insert(t.Context(), tx, event(1)) },
		func(tx handle) error { return errors.Join(p.Insert(t.Context(), tx, event(2), event(3)), no) }))
	wantCounts(t, look, 0, 1)
	producertest.RequireInserted(t, look, producertest.Key("1"))
}
