package retention

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/producer"
)

func event() *binjet.Message {
	return &binjet.Message{Topic: "orders.created", Payload: []byte("{}")}
}

func events(n int) []*binjet.Message {
	list := make([]*binjet.Message, n)
	for i := range list {
		list[i] = event()
	}
	return list
}

// TestDeleteInTransaction: what is deleted where it is inserted is published all
// the same, once, and nothing stays in the table. Whoever holds transactions open
// keeps nobody else from inserting.
func TestDeleteInTransaction(t *testing.T) {
	t.Parallel()
	eachFlavor(t, func(t *testing.T, flavor dbserver.Flavor) {
		w := newWorld(t, flavor)
		w.start()
		plain, err := producer.New(producer.Config{Retain: producer.DeleteInTransaction})
		must(t, err)
		kept, err := plain.Prepare(t.Context(), w.db, 1, 7)
		must(t, err)
		defer kept.Close()
		w.db.SetMaxOpenConns(40)

		var mu sync.Mutex
		committed := map[string]bool{}
		errRollBack := errors.New("as it should be")
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				for round := range 8 {
					p, n := plain, []int{1, 7, 3, 600}[round%4]
					if (i+round)%2 == 0 {
						p = kept
					}
					msgs := events(n)
					err := producer.InTx(t.Context(), w.db, nil, func(ctx context.Context, tx *sql.Tx) error {
						if err := p.Insert(ctx, tx, msgs...); err != nil || round%5 != 4 {
							return err
						}
						return errRollBack
					})
					switch {
					case errors.Is(err, errRollBack):
						continue
					case err != nil:
						t.Error(err) // a deadlock, too: nobody waits for another's rows
					}
					mu.Lock()
					for _, m := range msgs {
						committed[m.ID] = true
					}
					mu.Unlock()
				}
			}()
		}
		wg.Wait()
		if rows := w.tableIDs(); len(rows) > 0 {
			t.Errorf("%d rows stayed in the table", len(rows))
		}
		w.allPublished(committed)
	})
}

// TestDeleteInTransactionLocksOwnRowsOnly: while transactions are open that
// inserted and deleted, at the lowest, the highest and any place of the key, others do.
func TestDeleteInTransactionLocksOwnRowsOnly(t *testing.T) {
	t.Parallel()
	eachFlavor(t, func(t *testing.T, flavor dbserver.Flavor) {
		w := newWorld(t, flavor)
		w.db.SetMaxOpenConns(20)
		w.exec("SET GLOBAL innodb_lock_wait_timeout=2")
		w.db.SetMaxIdleConns(0) // sessions take it over when they begin
		p, err := producer.New(producer.Config{Retain: producer.DeleteInTransaction})
		must(t, err)
		var open []*sql.Tx
		for i := range 9 {
			tx, err := w.db.BeginTx(t.Context(), nil)
			must(t, err)
			msgs := events(5)
			for k, m := range msgs {
				m.ID = fmt.Sprintf("%d-%d", k, (i*7)%9) // in between those of the others
			}
			if err := p.Insert(t.Context(), tx, msgs...); err != nil {
				t.Fatalf("transaction %d waits for one of the %d that are open: %v", i, len(open), err)
			}
			must(t, p.Insert(t.Context(), tx, event()))
			open = append(open, tx)
		}
		for _, tx := range open {
			must(t, tx.Commit())
		}
	})
}

// allPublished waits until the stream holds these events and nothing else, once each.
func (w *world) allPublished(committed map[string]bool) {
	w.t.Helper()
	eventually(w.t, "all is published", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), heartbeat*10)
		defer cancel()
		return w.count(ctx) >= uint64(len(committed))
	})
	got := w.streamIDs()
	for id := range committed {
		if got[id] != 1 {
			w.t.Errorf("event %s is in the stream %d times", id, got[id])
		}
	}
	if len(got) != len(committed) {
		w.t.Errorf("%d events in the stream, %d were committed", len(got), len(committed))
	}
}
