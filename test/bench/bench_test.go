package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestSmoke runs every part once, as a process without the race detector: it proves that
// the benchmark works, and nothing about speed. What binjet promises holds here, too.
func TestSmoke(t *testing.T) {
	dir := t.TempDir()
	bin, found, tables := filepath.Join(dir, "bench"), filepath.Join(dir, "found.json"), filepath.Join(dir, "tables.md")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := exec.CommandContext(t.Context(), bin, "-smoke", "-json", found, "-markdown", tables).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text, err := os.ReadFile(found)
	if err != nil {
		t.Fatal(err)
	}
	var r struct {
		Raw struct {
			Drain    []drained
			Latency  []any
			Noise    []foreign
			Huge     drained
			Takeover began
			Peers    []compared
		}
	}
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	for _, d := range append(r.Raw.Drain, r.Raw.Huge, r.Raw.Takeover.Snapshot) {
		if d.Rate <= 0 || d.CPU <= 0 || d.Way == wayBinjet && (d.Peak <= 0 || d.Mallocs <= 0 || d.GC <= 0 || d.Start <= 0 || d.Stored < 256) {
			t.Errorf("a drain without its figures: %+v", d)
		}
	}
	if len(r.Raw.Drain) != 4 || len(r.Raw.Latency) != 3 || len(r.Raw.Noise) != 1 || r.Raw.Noise[0].Binjet <= 0 || len(r.Raw.Takeover.TakeOver) != 1 || len(r.Raw.Peers) != len(peers()) {
		t.Errorf("something was not measured:\n%s", text)
	}
	for i, p := range r.Raw.Peers {
		if p.Rate <= 0 || p.Latency.Total.P50 <= 0 || i == 0 && p.Lost+p.Repeated+p.Backwards > 0 {
			t.Errorf("a peer: %+v", p)
		}
	}
	if info, err := os.Stat(tables); err != nil || info.Size() < 1000 {
		t.Errorf("the tables: %v, %v", info, err)
	}
}

func TestQuantiles(t *testing.T) {
	list := make([]time.Duration, 1000)
	for i := range list {
		list[len(list)-1-i] = time.Duration(i + 1)
	}
	if q := quantilesOf(list); q != (quantiles{501, 991, 1000, 1000}) {
		t.Errorf("%+v", q)
	}
	if q := quantilesOf(nil); q != (quantiles{}) {
		t.Errorf("of nothing: %+v", q)
	}
	if m := median([]float64{3, 1, 2, 10}); m != 2.5 {
		t.Errorf("median %v", m)
	}
}

// A stack belongs to whom the innermost frame of ours or of a library works for.
func TestStageOf(t *testing.T) {
	for want, stack := range map[string][]string{
		"reading: packets, checksums, go-mysql": {"runtime.mallocgc", "  github.com/go-mysql-org/go-mysql/replication.(*BinlogParser).Parse", "github.com/binjet/binjet/binlog.(*parser).parse"},
		"rows to messages (binlog)":             {"encoding/json.x", "github.com/binjet/binjet.DecodeHeaders", "github.com/binjet/binjet/relay.x", "github.com/binjet/binjet/binlog.(*packets).event"},
		"batches (relay, checkpoint)":           {"github.com/binjet/binjet/relay.(*encoder).encode"},
		"garbage collection":                    {"runtime.scanObject", "runtime.gcBgMarkWorker"},
		"metrics, logs, the rest":               {"runtime.x", "net/http.y"},
	} {
		if got := stageOf(stack); got != want {
			t.Errorf("%q is of %q", stack, got)
		}
	}
}
