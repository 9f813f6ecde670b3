package cli

import (
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
)

// bench measures beside a relay that runs, which sees nothing of it; all that it made
// is gone afterwards, also when it is interrupted, and what has its names is left alone.
func bench(w *world) {
	w.relay()
	w.insert("a")
	w.published(1)
	small := []string{"bench", "--duration=100ms", "--rows=500", "--rate=200", "--writers=2"}
	r := w.wants(0, nil, append(small, "-o", "json")...)
	var report struct {
		Ratios   map[string]float64
		Backlog  int
		Database struct {
			Rate   float64 `json:"commits_per_second"`
			Commit struct{ Count int }
		}
		EndToEnd struct {
			Read  float64             `json:"read_per_second"`
			Drain float64             `json:"drain_per_second"`
			Way   struct{ Count int } `json:"commit_to_stream"`
		} `json:"end_to_end"`
	}
	must(w.t, json.Unmarshal([]byte(r.out), &report))
	e := report.EndToEnd
	if report.Backlog < 500 || report.Database.Rate <= 0 || report.Database.Commit.Count == 0 || e.Read <= 0 || e.Drain <= 0 || e.Way.Count != 20 {
		w.t.Errorf("%+v: %s", report, r)
	}
	for name, ratio := range report.Ratios {
		if ratio <= 0 {
			w.t.Errorf("%s is %g", name, ratio)
		}
	}
	w.cleared()
	w.wants(0, []string{"a backlog is drained at", "COMMIT to stream"}, small...)

	slow := append(slices.Clone(small), "--duration=1m")
	if r := w.run(time.Second, w.bin, slow...); r.code != 1 {
		w.t.Errorf("interrupted: %s", r)
	}
	w.cleared()
	w.insert("b")
	if ids := w.published(2); !slices.Equal(ids, []string{"a", "b"}) {
		w.t.Errorf("published %v", ids)
	}

	w.exec("CREATE TABLE " + w.schema + ".binjet_bench (n INT)")
	w.wants(1, []string{"table " + w.schema + ".binjet_bench exists already, so nothing was measured"}, small...)
	w.exec("DROP TABLE " + w.schema + ".binjet_bench") // which fails if it was taken away
	w.cleared()
	_, err := w.js.CreateStream(w.t.Context(), jetstream.StreamConfig{Name: "BINJET_BENCH", Subjects: []string{"mine"}})
	must(w.t, err)
	w.wants(1, []string{"stream BINJET_BENCH exists already, so nothing was measured"}, small...)
	must(w.t, w.js.DeleteStream(w.t.Context(), "BINJET_BENCH"))
	w.cleared()
}

// cleared: nothing is left of a bench.
func (w *world) cleared() {
	w.t.Helper()
	if _, err := w.js.Stream(w.t.Context(), "BINJET_BENCH"); !errors.Is(err, jetstream.ErrStreamNotFound) {
		w.t.Errorf("the stream is left: %v", err)
	}
	kv, err := w.js.KeyValue(w.t.Context(), binjet.CheckpointBucket)
	must(w.t, err)
	w.eventually("a copy of the relay's checkpoint, which comes late, and of no other", func() bool {
		keys, err := kv.Keys(w.t.Context())
		return err == nil && slices.Equal(keys, []string{w.schema})
	})
	var tables int
	must(w.t, w.srv.db.QueryRowContext(w.t.Context(), "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_NAME='binjet_bench'").Scan(&tables))
	if tables > 0 {
		w.t.Error("the table is left")
	}
}
