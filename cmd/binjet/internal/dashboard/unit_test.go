package dashboard

import (
	"math"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/cmd/binjet/internal/admin"
	"github.com/binjet/binjet/relay"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeRelay is what a test says it is.
type fakeRelay struct {
	status relay.Status
	report admin.Report
	lag    time.Duration
}

func (f *fakeRelay) Status() (relay.Status, bool) { return f.status, f.status.Role != "" }
func (f *fakeRelay) Report(bool) admin.Report     { return f.report }
func (f *fakeRelay) Lag() (time.Duration, bool)   { return f.lag, f.status.Role == relay.Leader }

func TestWords(t *testing.T) {
	for got, want := range map[string]string{
		number(0): "0", number(0.44): "0.4", number(12): "12", number(999): "999", number(1234): "1.2k", number(2000): "2k", number(3_400_000): "3.4M",
		span(0): "0", span(0.0004): "0.4 ms", span(0.012): "12 ms", span(1.5): "1.5 s", span(59): "59 s", span(120): "2 min", span(3 * 3600): "3 h 0 min", span(50 * 3600): "2 d 2 h",
		whole(7): "7", whole(1234): "1,234", whole(1234567): "1,234,567",
		size(12): "12 B", size(2048): "2 KiB", size(3_500_000): "3.3 MiB",
		clock(time.Time{}): "–", cleanName(" Ann\n\tO'Hara\x00 "): "Ann O'Hara", cleanName(strings.Repeat("ä", 100)): strings.Repeat("ä", maxName),
		ours("/messages?x=1"): "/messages?x=1", ours("//evil.example"): "/", ours("https://evil.example"): "/", ours("/\\evil.example"): "/", ours(""): "/",
	} {
		if got := strings.ReplaceAll(got, nbsp, " "); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestShow(t *testing.T) {
	for name, test := range map[string]struct{ contentType, payload, as, text string }{
		"JSON":                 {"application/json; charset=utf-8", `{"a":1}`, "JSON", "{\n  \"a\": 1\n}"},
		"CloudEvents":          {"application/cloudevents+json", `{"a":1}`, "JSON", "{\n  \"a\": 1\n}"},
		"unsaid, JSON":         {"", `[1]`, "JSON", "[\n  1\n]"},
		"unsaid, text":         {"", "hello", "text", "hello"},
		"broken JSON":          {"application/json", "{", "text", "(it is no JSON)\n{"},
		"MessagePack":          {"application/msgpack", "\x81\xa1a\x01", "MessagePack, as JSON", "{\n  \"a\": 1\n}"},
		"MessagePack, no JSON": {"application/msgpack", "\x81\x01\x02", "MessagePack, as JSON", "{\n  \"1\": 2\n}"},
		"Protobuf":             {"application/protobuf", "\x08\x96\x01", "Protobuf", "(field numbers only: the descriptor is not known here)\n1: 150"},
		"bytes":                {"application/octet-stream", "\x08\x96\x01\x00", "hexadecimal", "00000000  08 96 01 00"},
	} {
		if got := show(test.contentType, []byte(test.payload)); got.As != test.as || !strings.HasPrefix(got.Text, test.text) || got.Cut {
			t.Errorf("%s: %+v", name, got)
		}
	}
	for _, large := range []string{strings.Repeat("ä", maxShown), strings.Repeat("\x00", maxShown)} {
		if got := show("", []byte(large)); !got.Cut || len(got.Text) > maxShown || got.As == "" {
			t.Errorf("%d bytes are shown as %s, cut %v", len(got.Text), got.As, got.Cut)
		}
	}
}

// ticker is a history with a clock of the test's.
type ticker struct {
	*History
	relay *fakeRelay
	clock time.Time
}

func newTicker(role relay.Role) *ticker {
	h := &ticker{relay: &fakeRelay{status: relay.Status{Role: role, Seq: 1}}, clock: time.Unix(1_000_000, 0)}
	h.History = NewHistory(h.relay)
	h.now = func() time.Time { return h.clock }
	return h
}

// second lets one pass in which so many events were published.
func (h *ticker) second(events uint64) {
	h.clock = h.clock.Add(time.Second)
	h.relay.status.Checkpoint.Count += events
	h.sample()
}

func (h *ticker) last() bucket { p := h.points(); return p[len(p)-1] }

func TestThroughput(t *testing.T) {
	h := newTicker(relay.Leader)
	h.relay.status.Checkpoint.Count = 1_000_000 // before this process began
	h.sample()
	for range 4 {
		h.second(30)
	}
	if rate, ok := h.last().rate(); !ok || rate != 30 {
		t.Errorf("%v events/s, %v", rate, ok)
	}
	h.relay.status.Checkpoint.Count = 10 // the stream lost its tail
	h.second(0)
	h.second(7)
	if rate, _ := h.last().rate(); rate != 3.5 {
		t.Errorf("%v events/s behind a lost tail", rate)
	}
	h.clock = h.clock.Add(time.Hour)
	if rate, ok := h.last().rate(); ok {
		t.Errorf("an hour later nobody knows, but it is %v", rate)
	}
	if n := len(h.points()); n != bucketCount {
		t.Errorf("%d points", n)
	}
}

// TestLatency: a leader notes each commit, a standby what it sees of the checkpoints.
func TestLatency(t *testing.T) {
	h := newTicker(relay.Leader)
	h.sample()
	for _, ms := range []int{5, 1, 900} {
		h.Committed(relay.Commit{Events: 1, Oldest: h.clock.Add(-time.Duration(ms) * time.Millisecond)})
	}
	h.Committed(relay.Commit{Events: 1, Oldest: h.clock.Add(time.Second)}) // a clock that is ahead
	h.Committed(relay.Commit{})                                            // a heartbeat
	median, ok := h.last().median()
	if b := h.last(); !ok || median != 5*time.Millisecond || b.worst != 900*time.Millisecond || len(b.latencies) != 4 {
		t.Errorf("median %s of %v, worst %s", median, b.latencies, b.worst)
	}

	s := newTicker(relay.Standby)
	s.relay.lag = time.Minute
	s.sample()
	at := s.clock
	s.relay.status.Checkpoint.At, s.relay.status.Checkpoint.Last = at, &checkpoint.Last{Committed: at.Add(-20 * time.Millisecond)}
	s.second(1)
	s.second(0)
	if b := s.last(); len(b.latencies) != 1 || b.worst != 20*time.Millisecond || b.lagKnown {
		t.Errorf("standby: %+v", b)
	}
}

func TestChart(t *testing.T) {
	none := math.NaN()
	c := draw("Rate", "events/s", "", number, series{"first", "rate", []float64{none, 10, 20, none, 40}})
	if c.Empty || c.Now != "40" || !strings.Contains(c.Words, "at most 40") || strings.Count(c.Lines[0].Path, "M") != 2 || strings.Count(c.Area, "Z") != 2 {
		t.Errorf("%+v", c)
	}
	if top := c.Ticks[2]; top.Label != "50" || top.At != plotTop {
		t.Errorf("the axis ends at %+v", top)
	}
	if strings.Contains(c.Lines[0].Path+c.Area, "NaN") {
		t.Error(c.Lines[0].Path, c.Area)
	}
	for i, values := range [][]float64{{none, none}, {0, 0}} {
		c := draw("Rate", "", "", number, series{"first", "rate", values})
		if c.Empty != (i == 0) || strings.Contains(c.Area, "NaN") {
			t.Errorf("%v: %+v", values, c)
		}
	}
	for v, want := range map[float64]float64{0: 1, 0.03: 0.05, 1: 1, 1.1: 2, 3: 5, 7: 10, 120: 200, 1000: 1000} {
		if got := niceTop(v); math.Abs(got-want) > 1e-9 {
			t.Errorf("the axis for %v ends at %v, want %v", v, got, want)
		}
	}
}

func TestCached(t *testing.T) {
	var c cached[int]
	asked := 0
	ask := func() (int, error) { asked++; return asked, nil }
	for range 3 {
		if v, err := c.get(time.Hour, ask); v != 1 || err != nil {
			t.Errorf("%d, %v", v, err)
		}
	}
	if c.forget(); asked != 1 {
		t.Errorf("asked %d times", asked)
	}
	if v, _ := c.get(time.Hour, ask); v != 2 {
		t.Errorf("after forget it is %d", v)
	}
}
