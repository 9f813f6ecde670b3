package verify

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// Kind of a finding.
type Kind string

// The kinds.
const (
	Missing  Kind = "missing"  // a row that the stream lacks
	Extra    Kind = "extra"    // an event that the tables lack
	Repeated Kind = "repeated" // an ID that the stream has more than once
	Disorder Kind = "disorder" // an event before one that was committed earlier
	Foreign  Kind = "foreign"  // a message on a subject of events that is none
)

// Finding is one fault.
type Finding struct {
	Kind     Kind      `json:"kind"`
	ID       string    `json:"id,omitempty"`
	Table    string    `json:"table,omitempty"`
	Sequence uint64    `json:"sequence,omitempty"`
	Created  time.Time `json:"created_at,omitzero"`
	Detail   string    `json:"detail,omitempty"`
}

// Report is the result.
type Report struct {
	OK     bool     `json:"ok"`
	Source string   `json:"source"`
	Stream string   `json:"stream"`
	Tables []string `json:"tables"`
	// Since and Until are the range of the rows' creation times; Since may be zero.
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until"`
	// Position is how far the stream was, UpTo the sequence.
	Position string `json:"position"`
	UpTo     uint64 `json:"up_to_sequence"`
	Rows     uint64 `json:"rows"`
	Events   uint64 `json:"events"`

	// Found counts the findings by kind; Findings are the first of them.
	Found    map[Kind]uint64 `json:"found"`
	Findings []Finding       `json:"findings"`

	// What could not be compared.
	// Waiting are rows that the relay has still to publish; Unread says that the
	// binlog could not be asked for them, so that some of the missing may wait, too.
	Waiting uint64 `json:"waiting"`
	Unread  string `json:"unread,omitempty"`
	// Pruned are events older than every row of the range; LetGo are rows whose events
	// the stream's limits may have dropped; Expired had an expiry that is over;
	// Quarantined lie in the dead letters; Deleted are rows that went away meanwhile.
	Pruned      uint64 `json:"pruned"`
	LetGo       uint64 `json:"let_go"`
	Expired     uint64 `json:"expired"`
	Quarantined uint64 `json:"quarantined"`
	Deleted     uint64 `json:"deleted_meanwhile"`

	Took time.Duration `json:"took_ns"`

	most int
}

func (r *Report) add(f Finding) {
	r.Found[f.Kind]++
	if len(r.Findings) < r.most {
		r.Findings = append(r.Findings, f)
	}
}

// Text prints the report, the findings first.
func (r *Report) Text(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, f := range r.Findings {
		where := f.Table
		if f.Sequence > 0 {
			where = fmt.Sprintf("#%d", f.Sequence)
		}
		created := "-"
		if !f.Created.IsZero() {
			created = f.Created.UTC().Format("2006-01-02T15:04:05.000000Z")
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", f.Kind, f.ID, where, created, f.Detail)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	since := "the first"
	if !r.Since.IsZero() {
		since = r.Since.UTC().Format(time.RFC3339)
	}
	fmt.Fprintf(w, "range\t%s to %s, stream read up to sequence %d (%s)\n", since, r.Until.UTC().Format(time.RFC3339), r.UpTo, r.Position)
	fmt.Fprintf(w, "compared\t%d rows, %d events\n", r.Rows, r.Events)
	for _, kind := range []Kind{Missing, Extra, Repeated, Disorder, Foreign} {
		fmt.Fprintf(w, "%s\t%d\n", kind, r.Found[kind])
	}
	for _, unknown := range []struct {
		n    uint64
		what string
	}{
		{r.Waiting, "rows that the relay has still to publish"},
		{r.Pruned, "events older than every row: their rows are pruned, or never were"},
		{r.LetGo, "rows whose events the stream's limits may have let go"},
		{r.Expired, "rows whose events have expired"},
		{r.Quarantined, "rows that lie in the dead letters"},
		{r.Deleted, "rows that were deleted meanwhile"},
	} {
		if unknown.n > 0 {
			fmt.Fprintf(w, "not compared\t%d %s\n", unknown.n, unknown.what)
		}
	}
	if r.Unread != "" {
		fmt.Fprintf(w, "warning\twhat the relay has still to publish is not known, and counts as missing: %s\n", r.Unread)
	}
	verdict := "OK"
	if !r.OK {
		verdict = "NOT OK"
	}
	fmt.Fprintf(w, "%s\ttook %s\n", verdict, r.Took.Round(time.Millisecond))
	return w.Flush()
}
