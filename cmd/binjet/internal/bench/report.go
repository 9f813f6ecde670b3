package bench

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// Report is what was measured. Rates are per second, latencies in seconds.
type Report struct {
	At       time.Time `json:"at"`
	Ratios   Ratios    `json:"ratios"`
	Settings Settings  `json:"settings"`
	Database Database  `json:"database"`
	Broker   Broker    `json:"broker"`
	// Backlog is how many rows were read, and drained.
	Backlog  int      `json:"backlog"`
	EndToEnd EndToEnd `json:"end_to_end"`
}

// Ratios compare binjet with what limits it, all measured in this run.
type Ratios struct {
	// DrainToAsync is the rate of draining by that of raw asynchronous publishing, which
	// keeps neither order nor anything else when something fails.
	DrainToAsync float64 `json:"drain_to_async"`
	// DrainToBatches is the same by the relay's rate without a database, DrainToRead by
	// the reader's without a broker.
	DrainToBatches float64 `json:"drain_to_batches"`
	DrainToRead    float64 `json:"drain_to_read"`
	// WayToFloor is the median from COMMIT to stream by the sum of the medians of a COMMIT
	// and a synchronous publish.
	WayToFloor float64 `json:"way_to_floor"`
}

// Settings are what it was measured with.
type Settings struct {
	Database string  `json:"database"`
	Broker   string  `json:"broker"`
	Replicas int     `json:"replicas"`
	Writers  int     `json:"writers"`
	Rate     float64 `json:"rate"`
	Size     int     `json:"size"`
	Rows     int     `json:"rows"`
	Seconds  float64 `json:"seconds"`
}

// Database is single rows by all writers.
type Database struct {
	CommitsPerSecond float64 `json:"commits_per_second"`
	// Commit is COMMIT alone, Transaction from BEGIN on.
	Commit      Latency `json:"commit"`
	Transaction Latency `json:"transaction"`
}

// Broker is without a database.
type Broker struct {
	Sync             Sync    `json:"sync"`
	AsyncPerSecond   float64 `json:"async_per_second"`
	BatchesPerSecond float64 `json:"batches_per_second"`
}

// Sync is one publish after the other.
type Sync struct {
	PerSecond float64 `json:"per_second"`
	RoundTrip Latency `json:"round_trip"`
}

// EndToEnd is from the table to the stream.
type EndToEnd struct {
	ReadPerSecond  float64 `json:"read_per_second"`
	DrainPerSecond float64 `json:"drain_per_second"`
	// CommitsPerSecond is what the writers kept up of the rate that was asked for.
	CommitsPerSecond float64 `json:"commits_per_second"`
	// CommitToStream begins when COMMIT is sent, and ends when the broker has acknowledged
	// the event's batch. Commit is the database's share of it; Publish is a batch's commit.
	CommitToStream Latency `json:"commit_to_stream"`
	Commit         Latency `json:"commit"`
	Publish        Latency `json:"publish"`
}

func (r *Report) conclude() {
	by := func(a, b float64) float64 {
		if b == 0 {
			return 0
		}
		return a / b
	}
	e := r.EndToEnd
	r.Ratios = Ratios{
		DrainToAsync:   by(e.DrainPerSecond, r.Broker.AsyncPerSecond),
		DrainToBatches: by(e.DrainPerSecond, r.Broker.BatchesPerSecond),
		DrainToRead:    by(e.DrainPerSecond, e.ReadPerSecond),
		WayToFloor:     by(e.CommitToStream.P50, e.Commit.P50+r.Broker.Sync.RoundTrip.P50),
	}
}

// Text prints the report for people: the ratios first.
func (r *Report) Text(w io.Writer) error {
	e, q, s := r.EndToEnd, r.Ratios, r.Settings
	var head strings.Builder
	fmt.Fprintf(&head, "a backlog is drained at %.2f of raw asynchronous publishing, %.2f of its own batches without a database, %.2f of its reader alone\n",
		q.DrainToAsync, q.DrainToBatches, q.DrainToRead)
	fmt.Fprintf(&head, "an event is in the stream %s after its COMMIT was sent (median): %.1f times a COMMIT and a synchronous publish\n", span(e.CommitToStream.P50), q.WayToFloor)
	fmt.Fprintf(&head, "%s\n\n", r.limit())
	if _, err := io.WriteString(w, head.String()); err != nil {
		return err
	}
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(what string, rate float64, unit string, l Latency) {
		text := ""
		if rate > 0 {
			text = fmt.Sprintf("%.0f %s/s", rate, unit)
		}
		if l.Count > 0 {
			text += fmt.Sprintf("\tp50 %s\tp99 %s\tmax %s", span(l.P50), span(l.P99), span(l.Max))
		}
		fmt.Fprintf(out, "  %s\t%s\n", what, text)
	}
	fmt.Fprintf(out, "database %s, %d writers, rows of %d bytes\n", s.Database, s.Writers, s.Size)
	line("COMMIT", r.Database.CommitsPerSecond, "commits", r.Database.Commit)
	line("transaction", 0, "", r.Database.Transaction)
	fmt.Fprintf(out, "broker %s, replicas: %d\n", s.Broker, s.Replicas)
	line("synchronous publish", r.Broker.Sync.PerSecond, "events", r.Broker.Sync.RoundTrip)
	line("asynchronous publish", r.Broker.AsyncPerSecond, "events", Latency{})
	line("binjet's batches", r.Broker.BatchesPerSecond, "events", Latency{})
	fmt.Fprintf(out, "end to end, a backlog of %d rows\n", r.Backlog)
	line("reading alone", e.ReadPerSecond, "events", Latency{})
	line("draining", e.DrainPerSecond, "events", Latency{})
	fmt.Fprintf(out, "end to end, %.0f of %g commits/s\n", e.CommitsPerSecond, s.Rate)
	line("COMMIT to stream", 0, "", e.CommitToStream)
	line("  of it COMMIT", 0, "", e.Commit)
	line("  a batch's publish", 0, "", e.Publish)
	return out.Flush()
}

// limit says where the time goes.
func (r *Report) limit() string {
	slowest := "the broker takes less from binjet than it reads"
	if r.EndToEnd.ReadPerSecond < r.Broker.BatchesPerSecond {
		slowest = "the binlog gives less than the broker takes"
	}
	behind := "it keeps up with these writers"
	if r.EndToEnd.DrainPerSecond < r.Database.CommitsPerSecond {
		behind = "it falls behind these writers if they go on like that"
	}
	return slowest + "; " + behind
}

// span is a time in seconds for people.
func span(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= 10*time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
}
