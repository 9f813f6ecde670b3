package inboxtest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/binjet/binjet/consumer/inbox"
)

// TxStore is an [inbox.Tx] to be tested and the database that it is in.
type TxStore struct {
	// Inbox has a table that is there and empty.
	Inbox inbox.Tx
	// DB may be used by twenty transactions at a time.
	DB *sql.DB
	// Levels are the isolation levels to be tested. Default: the database's own.
	Levels []sql.IsolationLevel
	// Waiting counts the claims that wait for another transaction just now. A nil
	// one is for databases that can't tell; then the tests don't wait for it.
	Waiting func(ctx context.Context) (int, error)
}

// RunTx tests a store; newStore is called once for each test.
func RunTx(t *testing.T, newStore func(t *testing.T) TxStore) {
	run(t, newStore, map[string]func(*txTest){
		"a committed claim is done":     (*txTest).committedIsDone,
		"a rolled back claim is free":   (*txTest).rolledBackIsFree,
		"a copy waits for the commit":   (*txTest).waitsForCommit,
		"a copy waits for the rollback": (*txTest).waitsForRollback,
		"a wait ends with its context":  (*txTest).waitIsCancelled,
		"an old snapshot hides nothing": (*txTest).oldSnapshot,
		"one of many copies runs":       (*txTest).oneOfMany,
		"a lost claim is not confirmed": (*txTest).lost,
	}, map[string]func(*txTest){
		"a claim is of a consumer and an ID": (*txTest).keys,
		"IDs are told apart":                 (*txTest).ids,
		"bad IDs are refused":                (*txTest).badIDs,
	})
	if _, ok := newStore(t).Inbox.(inbox.BatchTx); ok {
		t.Run("batch", func(t *testing.T) { runBatch(t, newStore) })
	}
}

// run runs the one tests at every isolation level, the others at the first.
func run(t *testing.T, newStore func(t *testing.T) TxStore, atEach, once map[string]func(*txTest)) {
	for name, test := range atEach {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			for i, level := range s.levels() {
				t.Run(strings.ReplaceAll(level.String(), " ", "_"), func(t *testing.T) { s.run(t, i, test) })
			}
		})
	}
	for name, test := range once {
		t.Run(name, func(t *testing.T) { newStore(t).run(t, 0, test) })
	}
}

func (s TxStore) levels() []sql.IsolationLevel {
	if len(s.Levels) == 0 {
		return []sql.IsolationLevel{sql.LevelDefault}
	}
	return s.Levels
}

// run runs a test at the i-th level, as a consumer of its own.
func (s TxStore) run(t *testing.T, i int, test func(*txTest)) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	test(&txTest{T: t, TxStore: s, ctx: ctx, level: s.levels()[i], consumer: fmt.Sprintf("c%d", i)})
}

// txTest is one test at one level.
type txTest struct {
	*testing.T
	TxStore
	ctx      context.Context
	level    sql.IsolationLevel
	consumer string
}

func (t *txTest) must(err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (t *txTest) begin() *sql.Tx {
	t.Helper()
	tx, err := t.DB.BeginTx(t.ctx, &sql.TxOptions{Isolation: t.level})
	t.must(err)
	return tx
}

// claim claims as a consumer does: after a conflict again, in a new transaction.
// The transaction is nil unless the claim was granted.
func (t *txTest) claim(ctx context.Context, consumer, id string) (*sql.Tx, error) {
	for {
		tx, err := t.DB.BeginTx(ctx, &sql.TxOptions{Isolation: t.level})
		if err != nil {
			return nil, err
		}
		err = t.Inbox.Claim(ctx, tx, consumer, id)
		if err == nil {
			return tx, nil
		}
		_ = tx.Rollback()
		if !errors.Is(err, inbox.ErrConflict) {
			return nil, err
		}
	}
}

// granted is a claim that has to be.
func (t *txTest) granted(id string) *sql.Tx {
	t.Helper()
	tx, err := t.claim(t.ctx, t.consumer, id)
	if err != nil {
		t.Fatalf("claim %s: %v", id, err)
	}
	return tx
}

func (t *txTest) commit(tx *sql.Tx, ids ...string) {
	t.Helper()
	for _, id := range ids {
		t.must(t.Inbox.Confirm(t.ctx, tx, t.consumer, id))
	}
	t.must(tx.Commit())
}

func (t *txTest) wantDone(id string) {
	t.Helper()
	tx, err := t.claim(t.ctx, t.consumer, id)
	if !errors.Is(err, inbox.ErrDone) {
		t.Errorf("claim %s: %v, want ErrDone", id, err)
	}
	if tx != nil {
		t.must(tx.Rollback())
	}
}

func (t *txTest) committedIsDone() {
	for range 2 {
		t.commit(t.granted("1"), "1")
		t.wantDone("1")
		t.wantDone("1")
		t.consumer += "-next"
	}
}

func (t *txTest) rolledBackIsFree() {
	tx := t.granted("1")
	t.must(t.Inbox.Confirm(t.ctx, tx, t.consumer, "1"))
	t.must(tx.Rollback())
	tx = t.begin()
	if err := t.Inbox.Confirm(t.ctx, tx, t.consumer, "1"); !errors.Is(err, inbox.ErrLost) {
		t.Errorf("confirm after a rollback: %v, want ErrLost", err)
	}
	t.must(tx.Rollback())
	t.commit(t.granted("1"), "1")
	t.wantDone("1")
}

func (t *txTest) keys() {
	t.commit(t.granted("1"), "1")
	t.commit(t.granted("2"), "2")
	t.wantDone("1")
	one := t.consumer
	t.consumer += "-other"
	t.commit(t.granted("1"), "1")
	t.consumer = strings.ToUpper(one)
	t.commit(t.granted("1"), "1")
	t.wantDone("1")
}

// alike are IDs that a loose comparison takes for one.
func alike() []string {
	ids := []string{
		strings.Repeat("x", 64), strings.Repeat("x", 63), strings.Repeat("x", 63) + "X",
		"a", "A", "a-", "a_", "a.", "7", "07", "7.0", "7e0", "0x7", "null", "NULL", "''", `""`, "%", "_", "?", "$1", "?1", ":1", "@p1", "*", ">", `\`, `\\`,
		"0198c0de-0000-7000-8000-000000000001", "0198C0DE-0000-7000-8000-000000000001",
	}
	for c := rune('!'); c <= '~'; c++ {
		ids = append(ids, "c"+string(c), "="+string(c))
	}
	return ids
}

func (t *txTest) ids() {
	for _, id := range alike() {
		t.commit(t.granted(id), id)
	}
	for _, id := range alike() {
		t.wantDone(id)
	}
}

func badIDs() []string {
	return []string{"", strings.Repeat("x", 65), " ", "a ", " a", "a b", "a\t", "a\n", "a\x00", "a\x7f", "é", "ａ", "a\u0301", "\xff"}
}

// badIDs are refused before the transaction is touched.
func (t *txTest) badIDs() {
	tx := t.begin()
	for _, id := range badIDs() {
		if err := t.Inbox.Claim(t.ctx, tx, t.consumer, id); err == nil || errors.Is(err, inbox.ErrDone) {
			t.Errorf("ID %q: %v", id, err)
		}
	}
	for _, consumer := range []string{"", "a b", "a.b", "é", strings.Repeat("x", 65)} {
		if err := t.Inbox.Claim(t.ctx, tx, consumer, "1"); err == nil || errors.Is(err, inbox.ErrDone) {
			t.Errorf("consumer %q: %v", consumer, err)
		}
	}
	t.must(t.Inbox.Claim(t.ctx, tx, t.consumer, "good"))
	t.commit(tx, "good")
	t.wantDone("good")
}

// second claims in another goroutine, and returns once it waits.
func (t *txTest) second(ctx context.Context, id string) <-chan error {
	t.Helper()
	ended := make(chan error, 1)
	begun := make(chan struct{})
	go func() {
		close(begun)
		tx, err := t.claim(ctx, t.consumer, id)
		if err == nil {
			err = tx.Commit()
		}
		ended <- err
	}()
	<-begun
	t.awaitWaiting(1)
	return ended
}

func (t *txTest) awaitWaiting(n int) {
	t.Helper()
	if t.Waiting == nil {
		return
	}
	for tick := time.NewTicker(5 * time.Millisecond); ; <-tick.C {
		waiting, err := t.Waiting(t.ctx)
		if err != nil {
			t.Fatalf("%d claims should wait; seen last: %d, %v", n, waiting, err)
		}
		if waiting >= n {
			tick.Stop()
			return
		}
	}
}

func (t *txTest) waitsForCommit() {
	tx := t.granted("1")
	ended := t.second(t.ctx, "1")
	t.commit(tx, "1")
	if err := <-ended; !errors.Is(err, inbox.ErrDone) {
		t.Errorf("the copy that waited got %v, want ErrDone", err)
	}
}

func (t *txTest) waitsForRollback() {
	tx := t.granted("1")
	ended := t.second(t.ctx, "1")
	t.must(tx.Rollback())
	t.must(<-ended) // claimed and committed
	t.wantDone("1")
}

func (t *txTest) waitIsCancelled() {
	tx := t.granted("1")
	ctx, cancel := context.WithCancel(t.ctx)
	defer cancel()
	ended := t.second(ctx, "1")
	cancel()
	if err := <-ended; err == nil || errors.Is(err, inbox.ErrDone) {
		t.Errorf("the wait ended with %v, want a cancellation", err)
	}
	t.commit(tx, "1")
	t.wantDone("1")
}

// oldSnapshot: the transaction has read before, which is not as documented.
// Whether the claim is refused or granted late, no mark may be made twice.
func (t *txTest) oldSnapshot() {
	if t.level == sql.LevelSerializable {
		return // there a read keeps the other from writing
	}
	old := t.begin()
	defer func() { _ = old.Rollback() }()
	var n int
	t.must(old.QueryRowContext(t.ctx, "SELECT COUNT(*) FROM inbox").Scan(&n))
	t.commit(t.granted("1"), "1")
	err := t.Inbox.Claim(t.ctx, old, t.consumer, "1")
	if !errors.Is(err, inbox.ErrDone) && !errors.Is(err, inbox.ErrConflict) {
		t.Errorf("from an old snapshot: %v, want ErrDone or ErrConflict", err)
	}
}

// oneOfMany: a hundred copies, of which the first three that get through roll back.
func (t *txTest) oneOfMany() {
	const copies, rollbacks = 100, 3
	t.DB.SetMaxOpenConns(20)
	failures := make(chan struct{}, rollbacks)
	for range rollbacks {
		failures <- struct{}{}
	}
	results := make(chan error, copies)
	for range copies {
		go func() { results <- t.handle(failures) }()
	}
	var handled, duplicates, failed int
	for range copies {
		switch err := <-results; {
		case err == nil:
			handled++
		case errors.Is(err, inbox.ErrDone):
			duplicates++
		case errors.Is(err, errFailed):
			failed++
		default:
			t.Errorf("a copy ended with %v", err)
		}
	}
	if handled != 1 || failed != rollbacks || duplicates != copies-rollbacks-1 {
		t.Errorf("%d handled, %d failed, %d duplicates of %d copies", handled, failed, duplicates, copies)
	}
}

var errFailed = errors.New("the handler failed")

// handle is one copy from its claim to its end; it fails while there are failures left.
func (t *txTest) handle(failures <-chan struct{}) error {
	tx, err := t.claim(t.ctx, t.consumer, "1")
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	select {
	case <-failures:
		return errFailed
	default:
	}
	if err := t.Inbox.Confirm(t.ctx, tx, t.consumer, "1"); err != nil {
		return err
	}
	return tx.Commit()
}

func (t *txTest) lost() {
	tx := t.granted("1")
	_, err := tx.ExecContext(t.ctx, "ROLLBACK")
	t.must(err)
	if err := t.Inbox.Confirm(t.ctx, tx, t.consumer, "1"); !errors.Is(err, inbox.ErrLost) {
		t.Errorf("confirm of a lost claim: %v, want ErrLost", err)
	}
	_ = tx.Rollback()
	t.commit(t.granted("1"), "1")
}
