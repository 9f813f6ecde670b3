package torture

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/producer"
)

// outcome of a transaction, as its writer knows it.
type outcome string

const (
	committed outcome = "committed" // acknowledged
	failed    outcome = "failed"    // rolled back, or lost before its COMMIT was sent
	unknown   outcome = "unknown"   // the answer to COMMIT, or to XA PREPARE, was lost
)

// record is a line of the history.
type record struct {
	Writer  int       `json:"writer"`
	Tx      int       `json:"tx"`
	Shape   string    `json:"shape"`
	Kept    []string  `json:"kept,omitempty"`    // events that are published if it commits
	Dropped []string  `json:"dropped,omitempty"` // events that never are
	Outcome outcome   `json:"outcome"`
	Error   string    `json:"error,omitempty"`
	At      time.Time `json:"at"`
}

// load is a number of writers, each with a connection and a source of chance of its own.
type load struct {
	db      *sql.DB
	stop    context.CancelFunc
	wg      sync.WaitGroup
	tables  []string
	variant []string

	waiting atomic.Bool  // the writers are to wait
	quiet   atomic.Bool  // or to do little: one event after the other
	written atomic.Int64 // events that are committed, maybe

	contents written

	mu      sync.Mutex
	history []record
}

// startLoad runs n writers, one that changes tables and one that changes the pace, until
// halt.
func startLoad(db *sql.DB, seed uint64, n int, tables, sessions []string) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{db: db, stop: cancel, tables: tables, variant: sessions}
	for i := range n {
		w := &writer{load: l, number: i, rng: rand.New(rand.NewPCG(seed, uint64(i)))}
		l.wg.Go(func() { w.run(ctx) })
	}
	l.wg.Go(func() { l.changePace(ctx, rand.New(rand.NewPCG(seed, 1<<33))) })
	l.wg.Go(func() { l.changeTables(ctx, rand.New(rand.NewPCG(seed, 1<<32))) })
	return l
}

func (l *load) halt() []record { l.stop(); l.wg.Wait(); return l.history }

func (l *load) remember(r record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.history = append(l.history, r)
	if r.Outcome != failed {
		l.written.Add(int64(len(r.Kept)))
	}
}

// changePace has the writers do little now and then, which is when events go by themselves.
func (l *load) changePace(ctx context.Context, rng *rand.Rand) {
	for ctx.Err() == nil {
		wait(ctx, time.Second+time.Duration(rng.Int64N(int64(2*time.Second))))
		l.quiet.Store(!l.quiet.Load())
	}
}

// changeTables alters the outbox and others while they are written to.
func (l *load) changeTables(ctx context.Context, rng *rand.Rand) {
	for added := false; ctx.Err() == nil; {
		statement := "ALTER TABLE outbox ADD COLUMN note INT NULL FIRST"
		if added {
			statement = "ALTER TABLE outbox DROP COLUMN note"
		}
		if rng.IntN(2) == 0 {
			statement = "CREATE TABLE IF NOT EXISTS later (id INT) SELECT 1 AS id"
		}
		if _, err := l.db.ExecContext(ctx, statement); err == nil && statement[:5] == "ALTER" {
			added = !added
		}
		_, _ = l.db.ExecContext(ctx, "DROP TABLE IF EXISTS later")
		wait(ctx, 200*time.Millisecond+time.Duration(rng.Int64N(int64(time.Second))))
	}
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// writer makes one transaction after the other.
type writer struct {
	*load
	number, tx, event int
	rng               *rand.Rand
}

func (w *writer) run(ctx context.Context) {
	for ctx.Err() == nil {
		conn, err := w.db.Conn(ctx)
		if err != nil {
			wait(ctx, 50*time.Millisecond)
			continue
		}
		for err == nil && ctx.Err() == nil {
			if w.waiting.Load() && !w.quiet.Load() {
				wait(ctx, 50*time.Millisecond)
				continue
			}
			err = w.transaction(ctx, conn)
		}
		_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // whatever was open on it
		_ = conn.Close()
	}
}

// transaction is one of the shapes. An error says that the connection is to be left.
func (w *writer) transaction(ctx context.Context, conn *sql.Conn) error {
	w.tx, w.event = w.tx+1, 0
	name, do := w.shape()
	if w.quiet.Load() {
		wait(ctx, time.Duration(w.rng.Int64N(int64(100*time.Millisecond))))
		name, do = "alone", func(t *transaction) error { return t.plain(1) }
	}
	r := record{Writer: w.number, Tx: w.tx, Shape: name, At: time.Now()}
	t := &transaction{w: w, ctx: ctx, conn: conn, record: &r, table: w.tables[w.rng.IntN(len(w.tables))]}
	t.session()
	err := do(t)
	if err != nil {
		r.Error = err.Error()
		if r.Outcome == "" {
			r.Outcome = failed
		}
	}
	if len(r.Kept)+len(r.Dropped) > 0 {
		w.remember(r)
	}
	return err
}

func (w *writer) shape() (string, func(*transaction) error) {
	shapes := []struct {
		weight int
		name   string
		do     func(*transaction) error
	}{
		{30, "plain", func(t *transaction) error { return t.plain(1 + w.rng.IntN(3)) }},
		{6, "several tables", func(t *transaction) error { return t.severalTables() }},
		{4, "large", func(t *transaction) error { return t.plain(200 + w.rng.IntN(1500)) }},
		{6, "huge row", func(t *transaction) error { return t.hugeRow() }},
		{4, "replace", func(t *transaction) error { return t.replace() }},
		{8, "savepoint", func(t *transaction) error { return t.savepoint() }},
		{8, "rolled back", func(t *transaction) error { return t.rolledBack() }},
		{6, "insert and delete", func(t *transaction) error { return t.insertAndDelete() }},
		{6, "deadlock", func(t *transaction) error { return t.deadlock() }},
		{4, "killed", func(t *transaction) error { return t.killed() }},
		{10, "XA", func(t *transaction) error { return t.xa() }},
		{12, "none of ours", func(t *transaction) error { return t.foreign() }},
	}
	total := 0
	for _, s := range shapes {
		total += s.weight
	}
	n := w.rng.IntN(total)
	for _, s := range shapes {
		if n -= s.weight; n < 0 {
			return s.name, s.do
		}
	}
	panic("the weights of the shapes do not add up")
}

var outboxes = func() map[string]*producer.Producer {
	list := map[string]*producer.Producer{}
	for _, table := range []string{"outbox", "outbox_hole"} {
		p, err := producer.New(producer.Config{Table: table})
		if err != nil {
			panic(err)
		}
		list[table] = p
	}
	return list
}()

// transaction is one that is being made.
type transaction struct {
	w      *writer
	ctx    context.Context
	conn   *sql.Conn
	record *record
	table  string

	replaces bool
}

// replacing writes by REPLACE what it is asked to INSERT.
type replacing struct{ producer.Execer }

func (r replacing) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return r.Execer.ExecContext(ctx, "REPLACE"+strings.TrimPrefix(query, "INSERT"), args...)
}

func (t *transaction) exec(query string, args ...any) error {
	_, err := t.conn.ExecContext(t.ctx, query, args...)
	return err
}

// session sets what a session may choose of how the log is written.
func (t *transaction) session() {
	if v := t.w.variant; len(v) > 0 {
		_ = t.exec(v[t.w.rng.IntN(len(v))])
	}
}

// insert puts n events into the outbox, and their IDs into the list.
func (t *transaction) insert(n, bytes int, ids *[]string) error {
	msgs := make([]*binjet.Message, n)
	for i := range msgs {
		t.w.event++
		msgs[i] = newMessage(t.w.rng, fmt.Sprintf("%d.%d.%d", t.w.number, t.w.tx, t.w.event), bytes)
		t.w.contents.add(msgs[i])
		*ids = append(*ids, msgs[i].ID)
	}
	var to producer.Execer = t.conn
	if t.replaces {
		to = replacing{t.conn}
	}
	return outboxes[t.table].Insert(t.ctx, to, msgs...)
}

func (t *transaction) keep(n int) error { return t.insert(n, 400, &t.record.Kept) }

// do runs the steps one by one up to the first that fails.
func (t *transaction) do(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (t *transaction) statement(query string, args ...any) func() error {
	return func() error { return t.exec(query, args...) }
}

// commit is the last step. An error of it says nothing, unless the server says that
// it rolled back.
func (t *transaction) commit() error {
	err := t.exec("COMMIT")
	t.record.Outcome = committed
	if err != nil {
		t.record.Outcome = unknown
	}
	return err
}

func (t *transaction) plain(n int) error {
	return t.do(t.statement("BEGIN"), t.statement("INSERT INTO orders (note) VALUES ('an order')"), func() error { return t.keep(n) }, t.commit)
}

func (t *transaction) replace() error {
	t.replaces = true
	return t.plain(1 + t.w.rng.IntN(3))
}

func (t *transaction) severalTables() error {
	steps := []func() error{t.statement("BEGIN")}
	for range 3 {
		steps = append(steps, func() error {
			t.table = t.w.tables[t.w.rng.IntN(len(t.w.tables))]
			return t.keep(1 + t.w.rng.IntN(2))
		})
	}
	return t.do(append(steps, t.commit)...)
}

func (t *transaction) hugeRow() error {
	return t.do(t.statement("BEGIN"), func() error { return t.insert(1, 700_000, &t.record.Kept) }, t.commit)
}

// savepoint rolls a part back, half of the time in a log that shows it, since a table
// without transactions was written in it.
func (t *transaction) savepoint() error {
	other := t.statement("INSERT INTO orders (note) VALUES ('goes')")
	if t.w.rng.IntN(2) == 0 {
		other = t.statement("INSERT INTO notes (note) VALUES ('stays')")
	}
	return t.do(t.statement("BEGIN"), func() error { return t.keep(1) }, t.statement("SAVEPOINT `a b`"),
		func() error { return t.insert(2, 100, &t.record.Dropped) }, other,
		t.statement("ROLLBACK TO SAVEPOINT `a b`"), func() error { return t.keep(1) }, t.commit)
}

func (t *transaction) rolledBack() error {
	err := t.do(t.statement("BEGIN"), func() error { return t.insert(1+t.w.rng.IntN(4), 100, &t.record.Dropped) },
		t.statement("INSERT INTO notes (note) VALUES ('stays')"), t.statement("ROLLBACK"))
	t.record.Outcome = failed
	return err
}

func (t *transaction) insertAndDelete() error {
	return t.do(t.statement("BEGIN"), func() error { return t.keep(2) }, func() error {
		if t.table != "outbox" {
			return nil
		}
		return t.exec("DELETE FROM outbox WHERE id IN (?, ?)", t.record.Kept[0], t.record.Kept[1])
	}, t.commit)
}

// deadlock takes two rows in an order that others do not keep.
func (t *transaction) deadlock() error {
	a := t.w.rng.IntN(4)
	b := (a + 1 + t.w.rng.IntN(3)) % 4
	err := t.do(t.statement("BEGIN"), func() error { return t.keep(1) },
		t.statement("UPDATE hot SET n = n + 1 WHERE id = ?", a), t.statement("UPDATE hot SET n = n + 1 WHERE id = ?", b), t.commit)
	if err != nil && t.record.Outcome == "" {
		return errors.Join(err, t.exec("ROLLBACK"))
	}
	return err
}

// killed: somebody ends the connection in the middle.
func (t *transaction) killed() error {
	var id int64
	if err := t.conn.QueryRowContext(t.ctx, "SELECT CONNECTION_ID()").Scan(&id); err != nil {
		return err
	}
	return t.do(t.statement("BEGIN"), func() error { return t.keep(2) }, func() error {
		if t.w.rng.IntN(2) == 0 { // now, or about when the commit is
			_, err := t.w.db.ExecContext(t.ctx, fmt.Sprintf("KILL %d", id))
			return err
		}
		go func() { _, _ = t.w.db.ExecContext(context.WithoutCancel(t.ctx), fmt.Sprintf("KILL %d", id)) }()
		return nil
	}, t.commit)
}

// xa prepares, and decides later or not at all: what is left is decided in the end.
func (t *transaction) xa() error {
	xid := fmt.Sprintf("'%d.%d'", t.w.number, t.w.tx)
	err := t.do(t.statement("XA START "+xid), func() error { return t.keep(1 + t.w.rng.IntN(3)) }, t.statement("XA END "+xid))
	if err != nil {
		return err
	}
	if t.w.rng.IntN(6) == 0 {
		t.record.Outcome = unknown
		if err = t.exec("XA COMMIT " + xid + " ONE PHASE"); err == nil {
			t.record.Outcome = committed
		}
		return err
	}
	t.record.Outcome = unknown
	if err := t.exec("XA PREPARE " + xid); err != nil {
		return err
	}
	wait(t.ctx, time.Duration(t.w.rng.Int64N(int64(300*time.Millisecond))))
	end, after := "XA COMMIT ", committed
	switch t.w.rng.IntN(8) {
	case 0, 1:
		end, after = "XA ROLLBACK ", failed
	case 2:
		return errors.New("left undecided")
	}
	if err := t.exec(end + xid); err != nil {
		return err
	}
	t.record.Outcome = after
	return nil
}

func (t *transaction) foreign() error {
	return t.exec("INSERT INTO orders (note) VALUES (REPEAT('x', ?))", t.w.rng.IntN(2000))
}
