package producertest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/binjet/binjet"
)

// DB stands for a database in tests that have none. Messages inserted through it,
// its transactions and connections are kept, and are committed or rolled back with
// those. IDs are unique, as the table's are. Its *sql.DB is for code that asks for
// one; it works below sqlx, with producer.InTx and with a Producer's Prepare.
//
// It is no database: any other statement is noted ([DB.Statements]), succeeds, and
// tells of one row; any query but that of [RequireInserted] and its like is an
// error. It is safe for use by several goroutines.
type DB struct {
	*sql.DB
	s *store
}

// NewDB makes an empty DB, which is closed at the end of the test.
func NewDB(t TB) *DB {
	s := &store{ids: map[string]bool{}}
	db := &DB{DB: sql.OpenDB(connector{s}), s: s}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// Statement is one that is not about an outbox table.
type Statement struct {
	Query string
	Args  []any
}

// Messages returns what is committed, in that order, as a handler would get it.
func (db *DB) Messages() []*binjet.Message {
	db.s.mu.Lock()
	defer db.s.mu.Unlock()
	msgs := make([]*binjet.Message, len(db.s.committed))
	for i, r := range db.s.committed {
		msgs[i] = r.message()
	}
	return msgs
}

// Statements returns all other statements, in their order; those of transactions
// that were rolled back, too.
func (db *DB) Statements() []Statement {
	db.s.mu.Lock()
	defer db.s.mu.Unlock()
	return slices.Clone(db.s.statements)
}

// Fail makes statements whose text holds part fail by err, until it is called with
// another part, or with err nil for the same. "BEGIN", "COMMIT" and "ROLLBACK" are
// statements. A transaction whose COMMIT fails is rolled back.
func (db *DB) Fail(part string, err error) {
	db.s.mu.Lock()
	defer db.s.mu.Unlock()
	db.s.failPart, db.s.failure = part, err
}

// Relay hands what is committed and was not handed over yet to handle, one message
// after the other in the order of commits, until there is none, so that what
// handle inserts follows. At an error it stops and returns that; the message is the
// first of the next Relay again, as it would be redelivered.
//
// Time is not kept: DeliverAt and ExpireAfter are in the message for handle to see.
// handle must not call Relay.
func (db *DB) Relay(ctx context.Context, handle func(ctx context.Context, m binjet.Message) error) error {
	db.s.relay.Lock()
	defer db.s.relay.Unlock()
	for {
		m := db.s.next()
		if m == nil {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := handle(ctx, *m); err != nil {
			return fmt.Errorf("%s: %w", describe(m), err)
		}
		db.s.mu.Lock()
		db.s.relayed++
		db.s.mu.Unlock()
	}
}

// row is a row of an outbox table.
type row struct {
	table, id, topic, key string
	headers, payload      []byte
	at                    time.Time
}

// message panics where a row has headers that Insert does not write, which insert
// has refused.
func (r row) message() *binjet.Message {
	m, err := message(r.id, r.topic, r.key, r.headers, slices.Clone(r.payload))
	if err != nil {
		panic(err)
	}
	m.CreatedAt = r.at
	return m
}

type store struct {
	relay sync.Mutex // one Relay at a time

	mu         sync.Mutex
	committed  []row
	ids        map[string]bool // of the committed rows, with the table
	relayed    int             // of the committed rows
	statements []Statement
	failPart   string
	failure    error
}

func (s *store) next() *binjet.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.relayed == len(s.committed) {
		return nil
	}
	return s.committed[s.relayed].message()
}

// fails returns the error that the statement is to fail by.
func (s *store) fails(query string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure != nil && strings.Contains(query, s.failPart) {
		return s.failure
	}
	return nil
}

func (s *store) note(st Statement) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.statements = append(s.statements, st)
}

// errDuplicate is what a primary key says.
var errDuplicate = errors.New("producertest: duplicate ID for the primary key")

// free reports whether the rows' IDs are not taken.
func (s *store) free(rows []row) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken(rows)
}

func (s *store) taken(rows []row) error {
	for _, r := range rows {
		if s.ids[r.table+r.id] {
			return fmt.Errorf("%w: %q in %s", errDuplicate, r.id, r.table)
		}
	}
	return nil
}

func (s *store) commit(rows []row) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.taken(rows); err != nil {
		return err
	}
	for _, r := range rows {
		s.ids[r.table+r.id] = true
	}
	s.committed = append(s.committed, rows...)
	return nil
}

// visible returns the rows of a table that a connection with these of its own sees.
func (s *store) visible(table string, own []row) []row {
	s.mu.Lock()
	defer s.mu.Unlock()
	var rows []row
	for _, r := range slices.Concat(s.committed, own) {
		if r.table == table {
			rows = append(rows, r)
		}
	}
	slices.SortFunc(rows, func(a, b row) int { return strings.Compare(a.id, b.id) })
	return rows
}
