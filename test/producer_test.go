package test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/producer"
)

// TestProducer runs on both flavours, with statements prepared for each call and
// with interpolated ones: what arrives in the table must be the same.
func TestProducer(t *testing.T) {
	t.Parallel()
	for _, flavor := range []dbserver.Flavor{dbserver.MySQL, dbserver.MariaDB} {
		t.Run(flavor.String(), func(t *testing.T) {
			t.Parallel()
			s, admin := startDB(t, dbserver.Options{Flavor: flavor})
			for name, params := range map[string]string{"prepared": "?parseTime=true", "interpolated": "?parseTime=true&interpolateParams=true"} {
				t.Run(name, func(t *testing.T) { testProducer(t, s, admin, params) })
			}
		})
	}
}

func testProducer(t *testing.T, s *dbserver.Server, admin *sql.DB, params string) {
	n := 0
	for name, test := range map[string]func(*testing.T, *outboxDB){
		"values":          producerValues,
		"order":           producerOrder,
		"split by rows":   producerSplitByRows,
		"split by bytes":  producerSplitByBytes,
		"rollback":        producerRollback,
		"savepoint":       producerSavepoint,
		"pool":            producerPool,
		"panic":           producerPanic,
		"same ID again":   producerSameID,
		"commit unknown":  producerCommitUnknown,
		"other table":     producerOtherTable,
		"table is absent": producerNoTable,
	} {
		n++
		schema := fmt.Sprintf("p%d_%d", n, len(params))
		t.Run(name, func(t *testing.T) {
			execSQL(t, admin, "CREATE DATABASE "+schema+" CHARACTER SET latin1") // must not matter
			db, err := sql.Open("mysql", s.DSN(schema)+params)
			must(t, err)
			t.Cleanup(func() { _ = db.Close() })
			create, err := binjet.OutboxSQL(binjet.DefaultTable)
			must(t, err)
			execSQL(t, db, create)
			test(t, &outboxDB{DB: db, p: newProducer(t, producer.Config{})})
		})
	}
}

type outboxDB struct {
	*sql.DB
	p *producer.Producer
}

func newProducer(t *testing.T, cfg producer.Config) *producer.Producer {
	t.Helper()
	p, err := producer.New(cfg)
	must(t, err)
	return p
}

// insert inserts msgs in one transaction.
func (db *outboxDB) insert(t *testing.T, msgs ...*binjet.Message) {
	t.Helper()
	must(t, producer.InTx(t.Context(), db, nil, func(ctx context.Context, tx *sql.Tx) error {
		return db.p.Insert(ctx, tx, msgs...)
	}))
}

// rows reads the outbox back, by ID.
func (db *outboxDB) rows(t *testing.T) []binjet.Message {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SELECT id, topic, message_key, headers, payload, created_at FROM outbox ORDER BY id")
	must(t, err)
	defer rows.Close()
	var got []binjet.Message
	for rows.Next() {
		var m binjet.Message
		var key sql.NullString
		var headers []byte
		must(t, rows.Scan(&m.ID, &m.Topic, &key, &headers, &m.Payload, &m.CreatedAt))
		m.Key = key.String
		m.Headers, err = binjet.DecodeHeaders(headers)
		must(t, err)
		if key.Valid && key.String == "" {
			t.Error("no key must be NULL")
		}
		got = append(got, m)
	}
	must(t, rows.Err())
	return got
}

func (db *outboxDB) wantCount(t *testing.T, want int) {
	t.Helper()
	wantSQL(t, db.DB, "SELECT COUNT(*) FROM outbox", fmt.Sprint(want))
}

func event(i int) *binjet.Message {
	return &binjet.Message{Topic: "orders.created", Payload: fmt.Append(nil, i)}
}

func producerValues(t *testing.T, db *outboxDB) {
	binary := make([]byte, 0, 1024)
	for i := range 1024 {
		binary = append(binary, byte(i))
	}
	before := time.Now().Add(-time.Minute)
	deliver := time.Date(2031, 2, 3, 4, 5, 6, 7000, time.FixedZone("", -7200))
	full := &binjet.Message{
		Topic: "a", Key: `ключ \' 𝄞`, Payload: binary, ContentType: "application/octet-stream",
		Headers: binjet.Headers{"x": {`é"\`, ""}}, ExpireAfter: 365 * 24 * time.Hour * 20, DeliverAt: deliver,
	}
	bare := &binjet.Message{ID: "~chosen", Topic: "b", Payload: []byte{0}}
	db.insert(t, full, bare)
	got := db.rows(t)
	if len(got) != 2 || got[0].ID != full.ID || got[1].ID != "~chosen" {
		t.Fatalf("got %v", got)
	}
	if got[0].Key != full.Key || !bytes.Equal(got[0].Payload, binary) || !bytes.Equal(got[1].Payload, []byte{0}) {
		t.Errorf("key %q, payload %x", got[0].Key, got[0].Payload)
	}
	want := binjet.Headers{
		"x": full.Headers["x"], "Content-Type": {"application/octet-stream"},
		"Nats-TTL": {"630720000s"}, "Outbox-Deliver-At": {"2031-02-03T06:05:06.000007Z"},
	}
	if !reflect.DeepEqual(got[0].Headers, want) || got[1].Headers != nil {
		t.Errorf("headers %v and %v", got[0].Headers, got[1].Headers)
	}
	wantSQL(t, db.DB, "SELECT COUNT(*) FROM outbox WHERE message_key IS NULL AND headers IS NULL AND ABS(TIMESTAMPDIFF(SECOND, created_at, NOW())) < 60", "1")
	if got[0].CreatedAt.Before(before.AddDate(0, 0, -1)) {
		t.Errorf("created_at is %s", got[0].CreatedAt)
	}
}

// UUIDv7 keeps the order of the call, so that a table read by ID has it too.
func producerOrder(t *testing.T, db *outboxDB) {
	var msgs []*binjet.Message
	for i := range 1000 {
		msgs = append(msgs, event(i))
	}
	db.insert(t, msgs...)
	for i, m := range db.rows(t) {
		if string(m.Payload) != fmt.Sprint(i) {
			t.Fatalf("row %d is message %s", i, m.Payload)
		}
	}
	db.wantCount(t, 1000)
}

func producerSplitByRows(t *testing.T, db *outboxDB) {
	var msgs []*binjet.Message
	for i := range 65535/5 + 1000 {
		msgs = append(msgs, event(i))
	}
	db.insert(t, msgs...)
	db.wantCount(t, len(msgs))
	if err := db.p.Insert(t.Context(), db.DB, msgs...); !errors.Is(err, producer.ErrNotAtomic) {
		t.Fatalf("got %v", err)
	}
}

// Bytes that a driver has to escape are the most that a statement can grow to.
func producerSplitByBytes(t *testing.T, db *outboxDB) {
	var msgs []*binjet.Message
	for i := range 13 {
		m := event(i)
		m.Payload = bytes.Repeat([]byte{0, '\'', '\\'}, 300_000)
		msgs = append(msgs, m)
	}
	db.insert(t, msgs...)
	wantSQL(t, db.DB, "SELECT SUM(LENGTH(payload)) FROM outbox", fmt.Sprint(13*900_000))
}

func producerRollback(t *testing.T, db *outboxDB) {
	no := errors.New("no")
	err := producer.InTx(t.Context(), db, nil, func(ctx context.Context, tx *sql.Tx) error {
		return errors.Join(db.p.Insert(ctx, tx, event(1), event(2)), no)
	})
	if !errors.Is(err, no) {
		t.Fatalf("got %v", err)
	}
	db.wantCount(t, 0)
}

func producerSavepoint(t *testing.T, db *outboxDB) {
	must(t, producer.InTx(t.Context(), db, nil, func(ctx context.Context, tx *sql.Tx) error {
		_, errSave := tx.ExecContext(ctx, "SAVEPOINT s")
		errDrop := db.p.Insert(ctx, tx, event(1))
		_, errBack := tx.ExecContext(ctx, "ROLLBACK TO s")
		return errors.Join(errSave, errDrop, errBack, db.p.Insert(ctx, tx, event(2)))
	}))
	if got := db.rows(t); len(got) != 1 || string(got[0].Payload) != "2" {
		t.Fatalf("got %v", got)
	}
}

func producerPool(t *testing.T, db *outboxDB) {
	must(t, db.p.Insert(t.Context(), db.DB, event(1), event(2)))
	conn, err := db.Conn(t.Context())
	must(t, err)
	defer conn.Close()
	must(t, db.p.Insert(t.Context(), conn, event(3)))
	db.wantCount(t, 3)
}

func producerPanic(t *testing.T, db *outboxDB) {
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_ = producer.InTx(t.Context(), db, nil, func(ctx context.Context, tx *sql.Tx) error {
			must(t, db.p.Insert(ctx, tx, event(1)))
			panic("oh")
		})
	}()
	db.wantCount(t, 0)
	if in := db.Stats().InUse; in != 0 {
		t.Errorf("%d connections were not given back", in)
	}
}

func producerSameID(t *testing.T, db *outboxDB) {
	m := event(1)
	db.insert(t, m)
	err := producer.InTx(t.Context(), db, nil, func(ctx context.Context, tx *sql.Tx) error {
		return db.p.Insert(ctx, tx, event(2), m)
	})
	var refusal *mysql.MySQLError
	if !errors.As(err, &refusal) || refusal.Number != 1062 {
		t.Fatalf("got %v, want a duplicate key", err)
	}
	db.wantCount(t, 1)
}

// A connection that is lost before COMMIT is, to the client, one that was lost in it.
func producerCommitUnknown(t *testing.T, db *outboxDB) {
	err := producer.InTx(t.Context(), db, nil, func(ctx context.Context, tx *sql.Tx) error {
		var id int64
		must(t, tx.QueryRowContext(ctx, "SELECT CONNECTION_ID()").Scan(&id))
		must(t, db.p.Insert(ctx, tx, event(1)))
		_, err := db.ExecContext(ctx, fmt.Sprintf("KILL CONNECTION %d", id))
		return err
	})
	if !errors.Is(err, producer.ErrCommitUnknown) {
		t.Fatalf("got %v", err)
	}
	db.wantCount(t, 0)
}

func producerOtherTable(t *testing.T, db *outboxDB) {
	execSQL(t, db.DB, "CREATE TABLE `my-$events` LIKE outbox")
	schema := querySQL(t, db.DB, "SELECT DATABASE()")
	for _, table := range []string{"my-$events", schema + ".my-$events"} {
		must(t, newProducer(t, producer.Config{Table: table}).Insert(t.Context(), db.DB, event(1)))
	}
	wantSQL(t, db.DB, "SELECT COUNT(*) FROM `my-$events`", "2")
}

func producerNoTable(t *testing.T, db *outboxDB) {
	err := newProducer(t, producer.Config{Table: "absent"}).Insert(t.Context(), db.DB, event(1))
	var refusal *mysql.MySQLError
	if !errors.As(err, &refusal) || refusal.Number != 1146 {
		t.Fatalf("got %v, want the database's own error", err)
	}
}
