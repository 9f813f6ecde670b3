package main

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// stage is a part of the work on an event: whatever runs on behalf of one of these
// packages, with what the runtime does for it. The first one in a stack, from the
// innermost frame outwards, counts.
type stage struct {
	name string
	in   []string // beginnings of functions' names
}

func stages() []stage {
	return []stage{
		{"garbage collection", []string{"runtime.gcBgMarkWorker", "runtime.bgsweep", "runtime.bgscavenge", "runtime.gcAssistAlloc"}},
		{"reading: packets, checksums, go-mysql", []string{"github.com/go-mysql-org/", "github.com/binjet/binjet/binlog.(*packets)", "github.com/binjet/binjet/binlog.(*events).body"}},
		{"nats.go: headers, buffer, socket", []string{"github.com/nats-io/"}},
		{"rows to messages (binlog)", []string{"github.com/binjet/binjet/binlog", "github.com/binjet/binjet."}},
		{"batches (relay, checkpoint)", []string{"github.com/binjet/binjet/"}},
		{"metrics, logs, the rest", []string{""}},
	}
}

// stagesOf adds up a CPU profile by stage.
func stagesOf(ctx context.Context, profile string) (map[string]time.Duration, error) {
	out, err := exec.CommandContext(ctx, "go", "tool", "pprof", "-traces", "-unit=us", profile).Output()
	if err != nil {
		return nil, fmt.Errorf("read profile %s: %w", profile, err)
	}
	sums := make(map[string]time.Duration)
	_, samples, _ := strings.Cut(string(out), "-----------+")
	for sample := range strings.SplitSeq(samples, "-----------+") {
		_, text, _ := strings.Cut(sample, "\n")
		value, stack, ok := strings.Cut(strings.TrimSpace(text), " ")
		if !ok {
			continue
		}
		us, err := strconv.ParseFloat(strings.TrimSuffix(value, "us"), 64)
		if err != nil {
			return nil, fmt.Errorf("profile %s: %q: %w", profile, value, err)
		}
		sums[stageOf(strings.Split(stack, "\n"))] += time.Duration(us * float64(time.Microsecond))
	}
	return sums, nil
}

// stageOf says which stage a stack belongs to, whose innermost frame comes first.
func stageOf(frames []string) string {
	all := stages()
	last := len(all) - 1
	for _, frame := range frames {
		for _, s := range all[:last] {
			for _, in := range s.in {
				if strings.HasPrefix(strings.TrimSpace(frame), in) {
					return s.name
				}
			}
		}
	}
	return all[last].name
}

// addStages is a table of µs for each event.
func addStages(w *world, list []drained) {
	t := &table{Title: "Where the processor time of a drain goes, µs for each event", Head: []string{"variant"},
		Note: "By CPU profiles of binjet run; memory is counted where it is asked for, but for collecting it."}
	for _, s := range stages() {
		t.Head = append(t.Head, s.name)
	}
	for _, d := range list {
		if d.Stages == nil {
			continue
		}
		cells := []any{d.Variant}
		for _, s := range stages() {
			cells = append(cells, fmt.Sprintf("%.1f", d.Stages[s.name]))
		}
		t.add(cells...)
	}
	if len(t.Rows) > 0 {
		w.report.keep("stages", nil, t)
	}
}
