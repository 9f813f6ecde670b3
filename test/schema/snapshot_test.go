package schema

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/test/internal/testdb"
)

// sink reads a source like a relay: what it took is done, and where it was cut it
// goes on from its position.
type sink struct {
	reader   *binlog.Reader
	pos      checkpoint.Position
	payloads []string
	parts    int
	snapshot int // rows of it
}

var errCut = errors.New("cut")

func newSink(t *testing.T, w *world) *sink {
	t.Helper()
	r, err := binlog.New(binlog.Config{Addr: testdb.Shared(t, w.flavor).Addr(), User: "root", Database: w.schema, Tables: []string{"outbox"}})
	must(t, err)
	pos, err := r.Begin(t.Context())
	must(t, err)
	return &sink{reader: r, pos: pos}
}

// read reads until stop says so.
func (k *sink) read(t *testing.T, stop func(*checkpoint.Transaction) bool) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return k.reader.Stream(ctx, k.pos.Clone(), func(tx *checkpoint.Transaction) error {
		k.pos.Apply(tx)
		k.parts++
		for _, m := range tx.Messages {
			k.payloads = append(k.payloads, string(m.Payload))
		}
		if tx.Snapshot != nil {
			k.snapshot += len(tx.Messages)
		}
		if stop(tx) {
			return errCut
		}
		return nil
	})
}

// insertAt inserts rows of one ID, a microsecond apart from at on; the payloads are
// numbers from first on.
func (w *world) insertAt(t *testing.T, id string, at time.Time, first, n int) {
	t.Helper()
	rows := make([]string, n)
	for i := range rows {
		rows[i] = fmt.Sprintf("('%s', 't', '%d', CONVERT_TZ('%s', '+00:00', @@session.time_zone))", id, first+i,
			at.Add(time.Duration(i)*time.Microsecond).UTC().Format("2006-01-02 15:04:05.000000"))
	}
	w.exec(t, "INSERT INTO outbox (id, topic, payload, created_at) VALUES "+strings.Join(rows, ","))
}

// TestSnapshotOfEqualIDs: in a partitioned table rows may share an ID. Cut at every
// page border, which lie between such rows, and with more of them inserted meanwhile,
// each row comes once: those of the snapshot in it, those behind it from the binlog.
func TestSnapshotOfEqualIDs(t *testing.T) {
	eachFlavor(t, func(t *testing.T, w *world) {
		w.want(t, 0, nil, "schema", "up", "--variant=partitioned")
		at := time.Now().UTC().Truncate(time.Hour)
		w.insertAt(t, "a", at, 0, 200)
		w.insertAt(t, "m", at, 200, 1200)
		w.insertAt(t, "m", at.Add(48*time.Hour), 1400, 100) // of another partition
		w.insertAt(t, "z", at, 1500, 100)
		k := newSink(t, w)
		const rows = 1600
		for late := rows; k.pos.Snapshot != nil; late += 2 {
			must(t, ignoreCut(k.read(t, func(*checkpoint.Transaction) bool { return true })))
			if k.pos.Snapshot != nil { // before and behind where it was cut
				w.insertAt(t, "m", at.Add(-time.Duration(late)*time.Microsecond), late, 1)
				w.insertAt(t, "m", at.Add(24*time.Hour+time.Duration(late)*time.Microsecond), late+1, 1)
			}
		}
		if k.snapshot != rows || k.parts < 4 {
			t.Fatalf("%d rows in %d parts, want %d", k.snapshot, k.parts, rows)
		}
		w.insertAt(t, "end", at, -1, 1)
		must(t, ignoreCut(k.read(t, func(tx *checkpoint.Transaction) bool {
			return slices.ContainsFunc(tx.Messages, func(m binjet.Message) bool { return m.ID == "end" })
		})))
		k.wantOnce(t, w)
	})
}

// wantOnce compares what was read with the table.
func (k *sink) wantOnce(t *testing.T, w *world) {
	t.Helper()
	got := slices.Sorted(slices.Values(k.payloads))
	var want []string
	rows, err := w.db.QueryContext(t.Context(), "SELECT payload FROM outbox")
	must(t, err)
	defer rows.Close()
	for rows.Next() {
		var p string
		must(t, rows.Scan(&p))
		want = append(want, p)
	}
	must(t, rows.Err())
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d rows were read, %d of them different, of %d", len(got), len(slices.Compact(slices.Clone(got))), len(want))
	}
}

func ignoreCut(err error) error {
	if errors.Is(err, errCut) {
		return nil
	}
	return err
}

// TestSnapshotOfEqualIDsDeleted: of rows that share an ID one is gone that was
// published, and then one that was not.
func TestSnapshotOfEqualIDsDeleted(t *testing.T) {
	eachFlavor(t, func(t *testing.T, w *world) {
		w.want(t, 0, nil, "schema", "up", "--variant=partitioned")
		w.insertAt(t, "m", time.Now().UTC().Truncate(time.Hour), 0, 1200)
		k := newSink(t, w)
		cut := func(*checkpoint.Transaction) bool { return true }
		must(t, ignoreCut(k.read(t, cut)))
		if k.pos.Snapshot == nil || k.pos.Snapshot.After != "m" || k.snapshot != 500 {
			t.Fatalf("%d rows, then %+v", k.snapshot, k.pos.Snapshot)
		}
		w.exec(t, "DELETE FROM outbox WHERE payload='499'")
		must(t, ignoreCut(k.read(t, cut)))
		if k.snapshot != 1000 {
			t.Fatalf("%d rows", k.snapshot)
		}
		w.exec(t, "DELETE FROM outbox WHERE payload='1000'")
		var halted *checkpoint.HaltError
		if err := k.read(t, cut); !errors.As(err, &halted) || !strings.Contains(err.Error(), "was deleted after the snapshot began") {
			t.Errorf("got %v", err)
		}
	})
}
