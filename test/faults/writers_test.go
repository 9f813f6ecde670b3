package faults

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/producer"
)

// writers commit, and do not commit, until they are stopped.
type writers struct {
	w         *world
	out       *producer.Producer
	stop      context.CancelFunc
	wg        sync.WaitGroup
	committed atomic.Int64 // events of transactions whose commit was acknowledged

	mu   sync.Mutex
	sure map[string]bool // event → must be there (true) or must not (false)
}

// phase is how long, in milliseconds, two writers at most make transactions of one event,
// and how long all of them those of every shape: a streamer publishes the ones by
// themselves and the others in batches.
const phase = 400

func singles() bool { return time.Now().UnixMilli()/phase%2 == 0 }

// rest lasts to the end of the phase.
func rest(ctx context.Context) {
	select {
	case <-time.After(time.Duration(phase-time.Now().UnixMilli()%phase) * time.Millisecond):
	case <-ctx.Done():
	}
}

var errRollBack = errors.New("as it should be")

// write starts n writers. Each transaction also writes another table, so that
// the log is full of what is none of binjet's business.
func (w *world) write(n int) *writers {
	w.t.Helper()
	w.exec("CREATE TABLE IF NOT EXISTS orders (id BIGINT AUTO_INCREMENT PRIMARY KEY, note TEXT) ENGINE=InnoDB")
	w.exec("CREATE TABLE IF NOT EXISTS notes (id BIGINT AUTO_INCREMENT PRIMARY KEY, note TEXT) ENGINE=MyISAM")
	out, err := producer.New(producer.Config{})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	ws := &writers{w: w, out: out, stop: cancel, sure: map[string]bool{}}
	for i := range n {
		ws.wg.Add(1)
		go func() {
			defer ws.wg.Done()
			rng := rand.New(rand.NewPCG(uint64(i), 7))
			for ctx.Err() == nil {
				if i >= 2 && singles() { // little load is when events go by themselves
					rest(ctx)
					continue
				}
				ws.transaction(ctx, rng)
			}
		}()
	}
	w.t.Cleanup(func() { ws.halt() })
	return ws
}

func (ws *writers) halt() { ws.stop(); ws.wg.Wait() }

// transaction is one of the shapes; rows that were rolled back are remembered as
// such, committed ones as that, and those of a commit without an answer not at all.
func (ws *writers) transaction(ctx context.Context, rng *rand.Rand) {
	var kept, dropped []string
	err := producer.InTx(ctx, ws.w.db, nil, func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "INSERT INTO orders (note) VALUES ('order')"); err != nil {
			return err
		}
		insert := func(n int, ids *[]string) error {
			msgs := make([]*binjet.Message, n)
			for i := range msgs {
				msgs[i] = &binjet.Message{Topic: "orders.created", Key: fmt.Sprint(rng.IntN(16)), Payload: make([]byte, 1+rng.IntN(400))}
			}
			err := ws.out.Insert(ctx, tx, msgs...)
			for _, m := range msgs {
				*ids = append(*ids, m.ID)
			}
			return err
		}
		if singles() { // these go by themselves
			return insert(1, &kept)
		}
		switch shape := rng.IntN(10); shape {
		case 0: // rolled back as a whole
			return errors.Join(insert(1+rng.IntN(3), &dropped), errRollBack)
		case 1: // a savepoint rolled back, in a log that shows it
			return ws.withSavepoint(ctx, tx, insert, &kept, &dropped)
		case 2: // nothing for us
			return nil
		case 3:
			return insert(20+rng.IntN(60), &kept)
		default:
			return errors.Join(insert(1+rng.IntN(3), &kept), insert(1, &kept))
		}
	})
	ws.remember(err, kept, dropped)
}

// withSavepoint writes a non-transactional table first, which makes the server
// log the rolled back part and the ROLLBACK TO.
func (ws *writers) withSavepoint(ctx context.Context, tx *sql.Tx, insert func(int, *[]string) error, kept, dropped *[]string) error {
	run := func(query string) error { _, err := tx.ExecContext(ctx, query); return err }
	for _, step := range []func() error{
		func() error { return insert(1, kept) },
		func() error { return run("SAVEPOINT `a b`") },
		func() error { return insert(2, dropped) },
		func() error { return run("INSERT INTO notes (note) VALUES ('stays')") },
		func() error { return run("ROLLBACK TO SAVEPOINT `a b`") },
		func() error { return insert(1, kept) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (ws *writers) remember(err error, kept, dropped []string) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	switch {
	case err == nil:
		ws.committed.Add(int64(len(kept)))
		for _, id := range kept {
			ws.sure[id] = true
		}
	case errors.Is(err, errRollBack):
		dropped = append(dropped, kept...)
	default:
		return // the outcome is unknown: the table knows it
	}
	for _, id := range dropped {
		ws.sure[id] = false
	}
}

// check compares what the writers know with the truth.
func (ws *writers) check(truth []string) {
	ws.w.t.Helper()
	in := map[string]bool{}
	for _, id := range truth {
		in[id] = true
	}
	for id, committed := range ws.sure {
		if in[id] != committed {
			ws.w.t.Fatalf("event %s: its writer knows committed=%v, the table says %v", id, committed, in[id])
		}
	}
}
