package prune

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/binjet/binjet/checkpoint"
)

// model is a server, a relay and a stream, which go on by some steps whenever the
// pruner asks for anything. A transaction is written to the binlog, then its rows
// can be seen, and then it is executed; each by a step of its own.
type model struct {
	t    *testing.T
	rng  *rand.Rand
	load int // of 8: how much is written

	written, visible, executed int // transactions, in the order of the binlog
	read                       int // by the relay
	stream                     int // what the checkpoint in the stream covers
	gone                       map[int]bool
	removed, rewinds           int
}

func (m *model) step() {
	for range m.rng.IntN(12) {
		switch m.rng.IntN(9) {
		case 0, 1:
			if m.rng.IntN(8) < m.load {
				m.written++
			}
		case 2, 3:
			m.visible = min(m.visible+1+m.rng.IntN(3), m.written)
		case 4:
			m.executed = min(m.executed+1+m.rng.IntN(3), m.visible)
		case 5, 6:
			m.read = min(m.read+1+m.rng.IntN(4), m.written)
		case 7:
			m.stream = m.read
		case 8:
			if m.rng.IntN(12) == 0 && m.stream > 0 { // the stream lost its newest data
				m.stream -= min(m.stream, 1+m.rng.IntN(50))
				m.read = m.stream
				m.rewinds++
			}
		}
	}
}

func (m *model) published(context.Context) (p checkpoint.Position, err error) {
	m.step()
	p.Flavor = checkpoint.MySQL
	p.Resume = upTo(m.stream)
	return p, nil
}

func upTo(n int) (set checkpoint.GTIDSet) {
	if n == 0 {
		return set
	}
	set, err := checkpoint.ParseGTIDSet(fmt.Sprintf("%s:1-%d", a, n))
	if err != nil {
		panic(err)
	}
	return set
}

func (m *model) cutoff(context.Context, time.Duration) (time.Time, error) { return time.Now(), nil }

// page returns all rows that can be seen: one a transaction, each of them old.
func (m *model) page(_ context.Context, _ table, after any, limit int, _ time.Time) (rows []row, err error) {
	m.step()
	for i := 1; i <= m.visible && len(rows) < limit; i++ {
		if id := fmt.Sprintf("%06d", i); !m.gone[i] && (after == nil || id > after.(string)) {
			rows = append(rows, row{id: id, old: true})
		}
	}
	return rows, nil
}

// horizon reads what is owned, and then what is executed.
func (m *model) horizon(context.Context, checkpoint.Position) (h Horizon, err error) {
	m.step()
	h.Flavor = checkpoint.MySQL
	owned := upTo(m.written).Minus(upTo(m.executed))
	m.step()
	h.GTIDs = upTo(m.executed)
	h.settled = h.GTIDs.Clone()
	h.GTIDs.AddSet(owned)
	return h, nil
}

func (m *model) remove(_ context.Context, _ table, ids []any, _ time.Time) (int64, error) {
	for _, id := range ids {
		var n int
		if _, err := fmt.Sscanf(id.(string), "%d", &n); err != nil {
			m.t.Fatal(err)
		}
		if n > m.stream {
			m.t.Fatalf("row %d was deleted, and the stream's checkpoint covers %d", n, m.stream)
		}
		m.gone[n] = true
		m.removed++
	}
	return int64(len(ids)), nil
}

// TestOnlyWhatTheStreamHolds lets the pruner run in many worlds: in none of them
// may it delete a row that the stream does not cover at that moment.
func TestOnlyWhatTheStreamHolds(t *testing.T) {
	removed, rewinds, behind := 0, 0, 0
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			m := &model{t: t, rng: rand.New(rand.NewPCG(seed, 1)), load: 1 + int(seed)%8, gone: map[int]bool{}}
			p := newPruner(t, Config{Published: m.published, Rates: Rates{BatchRows: 1 + m.rng.IntN(3)}, Patience: 2 * time.Second,
				Hooks: Hooks{Deleted: func(string, int64, time.Duration) { m.step() }}})
			for range 10 {
				r := &round{Pruner: p, source: m}
				if err := r.verify(t.Context()); err != nil {
					t.Fatal(err)
				}
				var report TableReport
				if err := r.sweep(t.Context(), table{name: "outbox"}, &report); err != nil {
					behind++
				}
			}
			removed += m.removed
			rewinds += m.rewinds
		})
	}
	if removed < 1000 || rewinds < 100 || behind < 10 {
		t.Errorf("%d rows were deleted, the stream rewound %d times, %d rounds gave up: this shows nothing", removed, rewinds, behind)
	}
}

func newPruner(t *testing.T, cfg Config) *Pruner {
	t.Helper()
	cfg.DB, cfg.Tables, cfg.Keep = new(sql.DB), []string{"outbox"}, time.Hour
	if cfg.Verify == nil {
		cfg.Verify = func(context.Context, checkpoint.Position) error { return nil }
	}
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
