package bench

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLatency(t *testing.T) {
	for n, want := range map[int]string{0: "0 0 0 0", 1: "1 1 1 1", 2: "2 1 2 2", 100: "100 50 99 100", 1000: "1000 500 990 1000"} {
		var s sample
		for i := n; i > 0; i-- {
			s.add(time.Duration(i) * time.Second)
		}
		l := s.latency()
		if got := fmt.Sprintf("%d %.0f %.0f %.0f", l.Count, l.P50, l.P99, l.Max); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// A rate is kept by the clock: a writer that was late catches up.
func TestPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next, begun, n := paced(100, time.Second), time.Now(), 0
		for at, more := next(); more; at, more = next() {
			if !until(t.Context(), at) {
				t.Fatal("it ended")
			}
			if n++; n == 10 {
				time.Sleep(500 * time.Millisecond)
			}
		}
		if took := time.Since(begun); n != 100 || took != 990*time.Millisecond {
			t.Errorf("%d in %s", n, took)
		}
	})
}

// What limits is told by the numbers, and the ratios stand first.
func TestReport(t *testing.T) {
	r := &Report{Backlog: 20000, Settings: Settings{Rate: 100, Writers: 4, Size: 300, Replicas: 3, Database: "9.7", Broker: "2.15"},
		Database: Database{CommitsPerSecond: 1000, Commit: Latency{Count: 5, P50: 0.001, P99: 0.002, Max: 1.5}},
		Broker:   Broker{Sync: Sync{PerSecond: 4000, RoundTrip: Latency{Count: 1, P50: 0.001}}, AsyncPerSecond: 80000, BatchesPerSecond: 40000},
		EndToEnd: EndToEnd{ReadPerSecond: 100000, DrainPerSecond: 20000, CommitsPerSecond: 99.7, CommitToStream: Latency{Count: 9, P50: 0.005}, Commit: Latency{Count: 9, P50: 0.0015}}}
	for _, test := range []struct {
		change func()
		words  string
	}{
		{func() {}, "a backlog is drained at 0.25 of raw asynchronous publishing, 0.50 of its own batches without a database, 0.20 of its reader alone"},
		{func() {}, "5ms after its COMMIT was sent (median): 2.0 times a COMMIT and a synchronous publish"},
		{func() {}, "commits/s  p50 1ms  p99 2ms  max 1.5s"},
		{func() {}, "end to end, 100 of 100 commits/s"},
		{func() {}, "the broker takes less from binjet than it reads; it keeps up with these writers"},
		{func() { r.EndToEnd.ReadPerSecond = 30000 }, "the binlog gives less than the broker takes; it keeps up"},
		{func() { r.Database.CommitsPerSecond = 30000 }, "it falls behind these writers if they go on like that"},
	} {
		test.change()
		r.conclude()
		var out bytes.Buffer
		if err := r.Text(&out); err != nil || !strings.Contains(out.String(), test.words) {
			t.Errorf("%v, no %q in\n%s", err, test.words, out.String())
		}
	}
	if !strings.HasPrefix(text(t, r), "a backlog") {
		t.Errorf("%s", text(t, r))
	}
}

func text(t *testing.T, r *Report) string {
	t.Helper()
	var out bytes.Buffer
	if err := r.Text(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestValidate(t *testing.T) {
	good := Config{Writers: 1, Rate: 0.5, Size: 1, Rows: 100, Duration: time.Second}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	err := Config{Size: 1 << 20}.Validate()
	for _, flag := range []string{"--writers 0", "--rate 0", "--size 1048576", "--rows 0", "--duration 0s"} {
		if err == nil || !strings.Contains(err.Error(), flag) {
			t.Errorf("no %s in %v", flag, err)
		}
	}
}
