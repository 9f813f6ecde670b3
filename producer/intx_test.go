package producer

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// fakeDB is a connector, its only connection and its transactions. It keeps
// what became of them.
type fakeDB struct {
	mu      sync.Mutex
	log     []string
	begin   error
	commit  error
	roll    error
	prepare error
}

func (f *fakeDB) note(what string, err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = append(f.log, what)
	return err
}

func (f *fakeDB) did() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.log, " ")
}

func (f *fakeDB) Connect(context.Context) (driver.Conn, error) { return f, nil }
func (f *fakeDB) Driver() driver.Driver                        { return nil }
func (f *fakeDB) Prepare(string) (driver.Stmt, error) {
	return fakeStmt{f}, f.note("prepare", f.prepare)
}
func (f *fakeDB) Close() error              { return nil }
func (f *fakeDB) Begin() (driver.Tx, error) { return f, f.note("begin", f.begin) }
func (f *fakeDB) Commit() error             { return f.note("commit", f.commit) }
func (f *fakeDB) Rollback() error           { return f.note("rollback", f.roll) }

func (f *fakeDB) ExecContext(_ context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	return driver.ResultNoRows, f.note(fmt.Sprintf("%.6s(%d)", query, len(args)), nil)
}

type fakeStmt struct{ db *fakeDB }

func (s fakeStmt) Close() error                            { return s.db.note("close", nil) }
func (fakeStmt) NumInput() int                             { return -1 }
func (fakeStmt) Query([]driver.Value) (driver.Rows, error) { return nil, driver.ErrSkip }
func (s fakeStmt) Exec(v []driver.Value) (driver.Result, error) {
	return driver.ResultNoRows, s.db.note(fmt.Sprintf("stmt(%d)", len(v)), nil)
}

func open(t *testing.T, f *fakeDB) *sql.DB {
	db := sql.OpenDB(f)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

var errFn = errors.New("fn says no")

func TestInTx(t *testing.T) {
	lost := errors.New("connection lost")
	for name, c := range map[string]struct {
		db   *fakeDB
		fn   func(ctx context.Context, tx *sql.Tx) error
		is   []error // what the error is; none: there is no error
		not  []error
		want string // what the database saw
	}{
		"commits":              {fn: succeeds, want: "begin commit"},
		"error rolls back":     {fn: fails, is: []error{errFn}, not: []error{ErrTxEnded}, want: "begin rollback"},
		"begin fails":          {db: &fakeDB{begin: lost}, fn: fails, is: []error{lost}, not: []error{errFn}, want: "begin"},
		"rollback fails":       {db: &fakeDB{roll: lost}, fn: fails, is: []error{errFn, lost}, want: "begin rollback"},
		"commit fails":         {db: &fakeDB{commit: lost}, fn: succeeds, is: []error{ErrCommitUnknown, lost}, want: "begin commit"},
		"fn commits":           {fn: func(_ context.Context, tx *sql.Tx) error { return tx.Commit() }, is: []error{ErrTxEnded, sql.ErrTxDone}, not: []error{ErrCommitUnknown}, want: "begin commit"},
		"fn rolls back":        {fn: func(_ context.Context, tx *sql.Tx) error { return tx.Rollback() }, is: []error{ErrTxEnded}, want: "begin rollback"},
		"fn commits and fails": {fn: func(_ context.Context, tx *sql.Tx) error { return errors.Join(tx.Commit(), errFn) }, is: []error{ErrTxEnded, errFn}, want: "begin commit"},
	} {
		t.Run(name, func(t *testing.T) {
			f := c.db
			if f == nil {
				f = new(fakeDB)
			}
			err := InTx(t.Context(), open(t, f), nil, c.fn)
			if (err != nil) != (len(c.is) > 0) {
				t.Fatalf("got %v", err)
			}
			for _, want := range c.is {
				if !errors.Is(err, want) {
					t.Errorf("got %v, want %v", err, want)
				}
			}
			for _, bad := range c.not {
				if errors.Is(err, bad) {
					t.Errorf("got %v, which must not be %v", err, bad)
				}
			}
			if got := f.did(); got != c.want {
				t.Errorf("the database saw %q, want %q", got, c.want)
			}
		})
	}
}

func fails(context.Context, *sql.Tx) error    { return errFn }
func succeeds(context.Context, *sql.Tx) error { return nil }

func TestInTxInserts(t *testing.T) {
	var f fakeDB
	p := mustNew(t, Config{})
	err := InTx(t.Context(), open(t, &f), nil, func(ctx context.Context, tx *sql.Tx) error {
		return p.Insert(ctx, tx, message("a"), message("b"))
	})
	if got := f.did(); err != nil || got != "begin INSERT(10) commit" {
		t.Fatalf("got %v, the database saw %q", err, got)
	}
}

func TestInTxPanic(t *testing.T) {
	var f fakeDB
	db := open(t, &f)
	func() {
		defer func() {
			if got := recover(); got != "oh" {
				t.Errorf("recovered %v, want the panic of fn", got)
			}
		}()
		_ = InTx(t.Context(), db, nil, func(context.Context, *sql.Tx) error { panic("oh") })
	}()
	if got := f.did(); got != "begin rollback" {
		t.Fatalf("the database saw %q", got)
	}
}

// A test that fails inside of fn ends its goroutine, which is no panic.
func TestInTxGoexit(t *testing.T) {
	var f fakeDB
	db := open(t, &f)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = InTx(context.Background(), db, nil, func(context.Context, *sql.Tx) error {
			runtime.Goexit()
			return nil
		})
	}()
	<-done
	if got := f.did(); got != "begin rollback" {
		t.Fatalf("the database saw %q", got)
	}
}

func TestInTxContextEnds(t *testing.T) {
	for name, result := range map[string]error{"fn succeeds": nil, "fn fails": errFn} {
		t.Run(name, func(t *testing.T) {
			var f fakeDB
			ctx, cancel := context.WithCancel(t.Context())
			err := InTx(ctx, open(t, &f), nil, func(context.Context, *sql.Tx) error {
				cancel()
				return result
			})
			if result == nil && !errors.Is(err, context.Canceled) || result != nil && !errors.Is(err, errFn) {
				t.Fatalf("got %v", err)
			}
			if errors.Is(err, ErrCommitUnknown) || errors.Is(err, ErrTxEnded) || strings.Contains(f.did(), "commit") {
				t.Fatalf("got %v, the database saw %q", err, f.did())
			}
		})
	}
}

func TestInTxOptions(t *testing.T) {
	var got *sql.TxOptions
	want := &sql.TxOptions{Isolation: sql.LevelReadCommitted}
	_ = InTx(t.Context(), beginner(func(opts *sql.TxOptions) { got = opts }), want, succeeds)
	if got != want {
		t.Fatalf("got %v", got)
	}
}

type beginner func(*sql.TxOptions)

func (b beginner) BeginTx(_ context.Context, opts *sql.TxOptions) (*sql.Tx, error) {
	b(opts)
	return nil, errFn
}
