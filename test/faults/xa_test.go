package faults

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/binjet/binjet/internal/dbserver"
)

// TestXAKilled: XA transactions are prepared, left open for a while, committed
// and rolled back among ordinary writers, and the streamer is killed again and
// again. What committed is in the stream, once, in the order of the commits.
func TestXAKilled(t *testing.T) {
	flavours(t, func(t *testing.T, flavor dbserver.Flavor) {
		w := newWorld(t, flavor)
		nc := w.nats.Connect(t)
		procs := []*process{w.start(), w.start()}
		ws := w.write(2)
		xa := w.writeXA(6)
		seen := w.watchCheckpoints(nc)
		rng := rand.New(rand.NewPCG(3, 4))
		const kills = 12
		undecided := 0
		for range kills {
			before := count(nc)
			eventually(t, "events between two kills", func() bool {
				procs = w.revive(procs)
				return count(nc) > before
			})
			pause(t, time.Duration(rng.Int64N(int64(300*time.Millisecond))))
			victim := rng.IntN(len(procs))
			procs[victim].kill()
			if h, ok := held(nc); ok {
				undecided += len(h.XA)
			}
			procs[victim] = w.start()
		}
		xa.halt()
		ws.halt()
		truth := w.truthXA()
		ws.check(truth)
		eventually(t, "all events", func() bool {
			procs = w.revive(procs)
			return count(nc) >= uint64(len(truth))
		})
		list := seen.halt()
		events := readStream(t, nc)
		compare(t, events, truth)
		contiguous(t, events)
		seen.check(list, events)
		if undecided == 0 {
			t.Error("no kill met an undecided XA transaction")
		}
		t.Logf("%d events, %d kills, %d undecided at them", len(events), kills, undecided)
	})
}

// xaWriters prepare XA transactions, wait, and decide them, until told to stop.
type xaWriters struct {
	stop context.CancelFunc
	wg   sync.WaitGroup
}

func (x *xaWriters) halt() { x.stop(); x.wg.Wait() }

func (w *world) writeXA(n int) *xaWriters {
	ctx, cancel := context.WithCancel(w.t.Context())
	x := &xaWriters{stop: cancel}
	for i := range n {
		x.wg.Go(func() {
			c, err := w.db.Conn(w.t.Context())
			if err != nil {
				w.t.Error(err)
				return
			}
			defer c.Close()
			rng := rand.New(rand.NewPCG(uint64(i), 11))
			for k := 0; ctx.Err() == nil; k++ {
				prepare, decide := xaTransaction(rng, fmt.Sprintf("xa-%d-%06d", i, k))
				for _, q := range prepare {
					if _, err := c.ExecContext(w.t.Context(), q); err != nil {
						w.t.Errorf("%s: %v", q, err)
						return
					}
				}
				pause(w.t, time.Duration(rng.Int64N(int64(400*time.Millisecond))))
				if _, err := c.ExecContext(w.t.Context(), decide); err != nil {
					w.t.Errorf("%s: %v", decide, err)
					return
				}
			}
		})
	}
	w.t.Cleanup(x.halt)
	return x
}

// xaTransaction is one with events, or with writes elsewhere only.
func xaTransaction(rng *rand.Rand, id string) (prepare []string, decide string) {
	xid := "'" + id + "','b'"
	prepare = []string{"XA START " + xid, "INSERT INTO orders (note) VALUES ('xa')"}
	if rng.IntN(5) > 0 {
		for j := range 1 + rng.IntN(4) {
			prepare = append(prepare, fmt.Sprintf("INSERT INTO outbox (id,topic,payload) VALUES ('%s-%d','orders.xa',REPEAT('x',%d))", id, j, rng.IntN(400)))
		}
	}
	prepare = append(prepare, "XA END "+xid, "XA PREPARE "+xid)
	decide = "XA COMMIT " + xid
	if rng.IntN(4) == 0 {
		decide = "XA ROLLBACK " + xid
	}
	return prepare, decide
}

// truthXA is [world.truth] where rows of XA transactions count at their commit.
func (w *world) truthXA() (ids []string) {
	w.t.Helper()
	kept := w.tableIDs()
	files := w.binlogFiles()
	r := &xaLog{prepared: map[string][]string{}}
	w.rawEvents(files[0], files[len(files)-1], r.add)
	for _, id := range r.ids {
		if kept[id] {
			ids = append(ids, id)
			delete(kept, id)
		}
	}
	if len(kept) > 0 {
		w.t.Fatalf("%d rows of the table are not in the binlog", len(kept))
	}
	return ids
}

// xaLog follows the raw binlog.
type xaLog struct {
	ids      []string
	open     []string            // rows of the group that is open
	prepared map[string][]string // by XID
}

func (r *xaLog) add(ev *replication.BinlogEvent) {
	switch e := ev.Event.(type) {
	case *replication.RowsEvent:
		if e.Type() == replication.EnumRowsEventTypeInsert && string(e.Table.Table) == "outbox" {
			for _, row := range e.Rows {
				r.open = append(r.open, row[0].(string))
			}
		}
	case *replication.XIDEvent:
		r.ids, r.open = append(r.ids, r.open...), nil
	case *replication.GenericEvent:
		if ev.Header.EventType == replication.XA_PREPARE_LOG_EVENT {
			n := binary.LittleEndian.Uint32(e.Data[5:])
			r.prepared[fmt.Sprintf("X'%x'", e.Data[13:13+n])], r.open = r.open, nil
		}
	case *replication.QueryEvent:
		text := string(e.Query)
		if xid, ok := strings.CutPrefix(text, "XA COMMIT "); ok {
			xid, _, _ = strings.Cut(xid, ",")
			r.ids = append(r.ids, r.prepared["X"+strings.ToLower(xid[1:])]...)
		}
		switch text {
		case "COMMIT":
			r.ids, r.open = append(r.ids, r.open...), nil
		case "ROLLBACK":
			r.open = nil
		}
	}
}
