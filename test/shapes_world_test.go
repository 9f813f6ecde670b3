package test

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/checkpoint"
)

// ledger is what writers know of what they committed: each transaction, and when
// it began and ended by a clock that only tells before from after.
type ledger struct {
	clock atomic.Int64
	count atomic.Int64

	mu  sync.Mutex
	txs map[string]ledgerTx // by the ID of the first row
}

type ledgerTx struct {
	ids          []string
	began, ended int64
}

// commit runs the statements that commit rows ids. A failure must have left nothing.
func (l *ledger) commit(t *testing.T, c *sql.Conn, ids []string, queries ...string) error {
	began := l.clock.Add(1)
	for _, q := range queries {
		if _, err := c.ExecContext(t.Context(), q); err != nil {
			if _, undone := c.ExecContext(t.Context(), "ROLLBACK"); undone != nil {
				return errors.Join(err, undone)
			}
			return fmt.Errorf("%s: %w", q, err)
		}
	}
	tx := ledgerTx{ids, began, l.clock.Add(1)}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.txs == nil {
		l.txs = make(map[string]ledgerTx)
	}
	l.txs[ids[0]] = tx
	l.count.Add(1)
	return nil
}

// check wants every transaction of the ledger once, whole, with its own values,
// and none behind one that began after it had ended.
func (l *ledger) check(t *testing.T, txs []*checkpoint.Transaction) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := make(map[string]bool)
	var latest int64 // begin of what was yielded
	for _, tx := range txs {
		if len(tx.Messages) == 0 {
			continue
		}
		var ids []string
		for i := range tx.Messages {
			ids = append(ids, tx.Messages[i].ID)
			if problem := derived(&tx.Messages[i]); problem != "" {
				t.Fatalf("transaction %s: %s", tx.GTID, problem)
			}
		}
		want := l.txs[ids[0]]
		switch {
		case !slices.Equal(ids, want.ids) || len(tx.Invalid) > 0:
			t.Fatalf("transaction %s yields %v, committed was %v", tx.GTID, ids, want.ids)
		case seen[ids[0]]:
			t.Fatalf("transaction %s of %v came twice", tx.GTID, ids)
		case want.ended < latest:
			t.Fatalf("%v comes behind a transaction that began after its end", ids)
		}
		seen[ids[0]], latest = true, max(latest, want.began)
	}
	for id := range l.txs {
		if !seen[id] {
			t.Errorf("transaction of %s is lost", id)
		}
	}
}

// derivedSQL inserts rows whose values all follow from the ID; topic is the name
// of the topic's column.
func derivedSQL(table, topic string, ids ...string) string {
	values := make([]string, len(ids))
	for i, id := range ids {
		values[i] = fmt.Sprintf(`('%s','t.%s','k-%s','{"n":"%s"}','payload of %s')`, id, id, id, id, id)
	}
	return "INSERT INTO " + table + " (id," + topic + ",message_key,headers,payload) VALUES " + strings.Join(values, ",")
}

// derived says what of a message does not follow from its ID.
func derived(m *binjet.Message) string {
	switch id := m.ID; {
	case m.Topic != "t."+id:
		return fmt.Sprintf("topic of %s is %q", id, m.Topic)
	case m.Key != "k-"+id:
		return fmt.Sprintf("key of %s is %q", id, m.Key)
	case !slices.Equal(m.Headers["n"], []string{id}):
		return fmt.Sprintf("headers of %s are %v", id, m.Headers)
	case string(m.Payload) != "payload of "+id:
		return fmt.Sprintf("payload of %s is %.100q", id, m.Payload)
	case m.CreatedAt.Year() < 2020:
		return fmt.Sprintf("created_at of %s is %v", id, m.CreatedAt)
	}
	return ""
}

// Errors of statements that meet a change of their table; they changed nothing.
const (
	errUnknownColumn = 1054
	errNoSuchTable   = 1146
	errStmtCacheFull = 1705
	errDeadlock      = 1213
	errTableChanged  = 1412
)

func isServerError(err error, codes ...uint16) bool {
	var e *mysql.MySQLError
	return errors.As(err, &e) && slices.Contains(codes, e.Number)
}

// load are writers at work, until halt.
type load struct {
	*ledger
	stop chan struct{}
	wg   sync.WaitGroup
}

// load starts writers of transactions of one to three rows. insert makes the
// statement of the n-th try, since a change of the table makes statements fail.
func (s *binlogSource) load(t *testing.T, writers int, insert func(try int, ids ...string) string) *load {
	t.Helper()
	l := &load{ledger: new(ledger), stop: make(chan struct{})}
	for w := range writers {
		c := s.conn(t)
		l.wg.Go(func() {
			try := 0
			for i := 0; ; i++ {
				select {
				case <-l.stop:
					return
				default:
				}
				var ids []string
				for j := range 1 + i%3 {
					ids = append(ids, fmt.Sprintf("%d-%06d-%d", w, i, j))
				}
				queries := []string{"BEGIN", insert(try, ids[0])}
				if len(ids) > 1 {
					queries = append(queries, insert(try, ids[1:]...))
				}
				err := l.commit(t, c, ids, append(queries, "COMMIT")...)
				if isServerError(err, errUnknownColumn, errNoSuchTable, errDeadlock, errTableChanged) {
					try++
				} else if err != nil {
					if t.Context().Err() == nil {
						t.Error(err)
					}
					return
				}
			}
		})
	}
	t.Cleanup(l.halt)
	return l
}

// more waits until n more transactions are committed.
func (l *load) more(t *testing.T, n int64) {
	t.Helper()
	want := l.count.Load() + n
	consumerEventually(t, "more transactions", func() bool { return t.Failed() || l.count.Load() >= want })
}

func (l *load) halt() {
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	l.wg.Wait()
}
