package admin

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/internal/prune"
	"github.com/binjet/binjet/relay"
)

// TestMetricsOfAStory tells the watch what happened in a leader's life, each thing a
// number of times of its own, and compares every value of every metric with
// testdata/metrics.txt, which was worked out from the story.
func TestMetricsOfAStory(t *testing.T) {
	want, err := os.ReadFile("testdata/metrics.txt")
	if err != nil {
		t.Fatal(err)
	}
	if got := told(t, story()); got != string(want) {
		t.Errorf("testdata/metrics.txt does not hold\n%s", diff(string(want), got))
	}
}

func story() *bench {
	b := newBench()
	r, s, gone := b.RelayHooks(), b.ReaderHooks(), errors.New("gone")
	for range 2 { // it led, stood by, and leads again
		r.Role(relay.Standby)
		r.Role(relay.Leader)
	}
	for range 3 {
		s.Connected(binlog.Server{})
		s.Disconnected(gone)
	}
	s.Connected(binlog.Server{})
	for range 5 {
		b.BrokerLost(gone)
		b.BrokerLost(gone) // another try of the same loss
		b.BrokerFound()
	}
	s.Received(700)
	s.Received(77)
	s.Transaction(gtid(1), b.clock.Add(-3*time.Second), 4)
	s.Transaction(gtid(2), b.clock, 0)
	// A batch of two transactions, three seconds and 20 ms after their commits, and a heartbeat.
	r.Committed(relay.Commit{Events: 4, Bytes: 5000, Duration: 3 * time.Millisecond, Parts: []relay.Part{
		{Committed: b.clock.Add(-3 * time.Second)}, {Committed: b.clock.Add(-20 * time.Millisecond)}, {}}})
	r.Committed(relay.Commit{Events: 600, Bytes: 200_000, Duration: 40 * time.Millisecond})
	r.Committed(relay.Commit{})
	for range 7 {
		r.Committed(relay.Commit{Alone: true, Events: 1, Bytes: 10, Duration: 200 * time.Microsecond})
	}
	refused := &relay.RefusedError{Code: 10164}
	r.Settled("retry", refused)
	r.Settled("resend", refused) // the same refusal
	r.Settled("committed", relay.ErrNoAnswer)
	r.Settled("older", relay.ErrReconnected)
	r.Settled("deposed", &relay.RefusedError{Code: 10071})
	for range 6 {
		r.Quarantined("x", "y")
	}
	hooks := b.PruneHooks(168 * time.Hour)
	hooks.Deleted("outbox", 500, 20*time.Millisecond)
	hooks.Round(prune.Report{Tables: []prune.TableReport{{Table: "outbox", Partitions: []string{"p20260131", "p20260201"}, Oldest: b.clock.Add(-time.Hour)}}}, nil)
	hooks.Round(prune.Report{}, gone)
	b.metrics.unasked.WithLabelValues(aboutBinlogs).Add(8)
	b.answered(func(a *survey) {
		a.at, a.oldest, a.keep, a.behind, a.behindKnown = b.clock, b.clock.Add(-24*time.Hour), 48*time.Hour, 9, true
		a.deadLetters = map[string]uint64{"billing": 10, "shop": 11}
	})
	b.backlog = relay.Backlog{Transactions: 12, Bytes: 1300, Since: b.clock}
	b.status.Trouble, b.status.Stored = "why", b.clock.Add(-1500*time.Millisecond)
	b.status.Checkpoint.Last = &checkpoint.Last{Committed: b.clock.Add(-14 * time.Second)}
	b.status.Checkpoint.Snapshot = &checkpoint.Snapshot{Begun: true, Rows: 15, Estimate: 16}
	return b
}

// told is what Prometheus would get of b, a line for each value but for buckets that
// hold what the one before holds.
func told(t *testing.T, b *bench) string {
	t.Helper()
	families, err := b.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "binjet_") {
			continue
		}
		for _, m := range f.GetMetric() {
			labels := ""
			for _, l := range m.GetLabel() {
				if l.GetName() != "source" {
					labels += fmt.Sprintf(" %s=%s", l.GetName(), l.GetValue())
				}
			}
			fmt.Fprintf(&out, "%s%s %s\n", f.GetName(), labels, valueOf(m))
		}
	}
	return out.String()
}

func valueOf(m *dto.Metric) string {
	h := m.GetHistogram()
	if h == nil {
		return fmt.Sprintf("%.10g", m.GetCounter().GetValue()+m.GetGauge().GetValue())
	}
	text, last := fmt.Sprintf("%d of %.10g", h.GetSampleCount(), h.GetSampleSum()), uint64(0)
	for _, b := range h.GetBucket() {
		if b.GetCumulativeCount() != last {
			last = b.GetCumulativeCount()
			text += fmt.Sprintf(", %d to %.6g", last, b.GetUpperBound())
		}
	}
	return text
}

// diff is the lines of one that are not in the other.
func diff(want, got string) string {
	var out strings.Builder
	for line := range strings.Lines(want) {
		if !strings.Contains("\n"+got, "\n"+line) {
			out.WriteString("- " + line)
		}
	}
	for line := range strings.Lines(got) {
		if !strings.Contains("\n"+want, "\n"+line) {
			out.WriteString("+ " + line)
		}
	}
	return out.String()
}
