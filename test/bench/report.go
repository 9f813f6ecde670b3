package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// report is all that was found.
type report struct {
	Machine []string       `json:"machine"`
	Tables  []table        `json:"tables"`
	Raw     map[string]any `json:"raw"` // by part: every single measurement
}

// table has its ratios in front.
type table struct {
	Title string     `json:"title"`
	Head  []string   `json:"head"`
	Rows  [][]string `json:"rows"`
	Note  string     `json:"note,omitempty"`
}

func (t *table) add(cells ...any) {
	row := make([]string, len(cells))
	for i, c := range cells {
		row[i] = fmt.Sprint(c)
	}
	t.Rows = append(t.Rows, row)
}

// keep adds a table and the measurements that it was made from.
func (r *report) keep(name string, raw any, tables ...*table) {
	if r.Raw == nil {
		r.Raw = make(map[string]any)
	}
	r.Raw[name] = raw
	for _, t := range tables {
		r.Tables = append(r.Tables, *t)
	}
}

func (r *report) write(out io.Writer, o options) error {
	for _, line := range r.Machine {
		fmt.Fprintln(out, line)
	}
	for _, t := range r.Tables {
		t.print(out)
	}
	var errs []error
	if o.json != "" {
		text, err := json.MarshalIndent(r, "", "  ")
		errs = append(errs, err, os.WriteFile(o.json, append(text, '\n'), 0o644))
	}
	if o.markdown != "" {
		errs = append(errs, os.WriteFile(o.markdown, []byte(r.text()), 0o644))
	}
	return errors.Join(errs...)
}

func (t *table) print(out io.Writer) {
	fmt.Fprintf(out, "\n%s\n", t.Title)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(t.Head, "\t"))
	for _, row := range t.Rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	_ = w.Flush()
	if t.Note != "" {
		fmt.Fprintln(out, t.Note)
	}
}

// text is Markdown.
func (r *report) text() string {
	var b strings.Builder
	for _, line := range r.Machine {
		fmt.Fprintf(&b, "- %s\n", line)
	}
	for _, t := range r.Tables {
		fmt.Fprintf(&b, "\n**%s**\n\n| %s |\n|%s\n", t.Title, strings.Join(t.Head, " | "), strings.Repeat("---|", len(t.Head)))
		for _, row := range t.Rows {
			fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
		}
		if t.Note != "" {
			fmt.Fprintf(&b, "\n%s\n", t.Note)
		}
	}
	return b.String()
}

// describe says on what was measured.
func describe(w *world) []string {
	load, _ := os.ReadFile("/proc/loadavg")
	facts := []string{
		fmt.Sprintf("%s; %d processors, %s, %s of memory; %s/%s", time.Now().UTC().Format("2006-01-02 15:04 UTC"), runtime.NumCPU(),
			procField("/proc/cpuinfo", "model name"), procField("/proc/meminfo", "MemTotal"), runtime.GOOS, runtime.GOARCH),
		fmt.Sprintf("load before it began: %s", strings.Join(strings.Fields(string(load))[:min(3, len(strings.Fields(string(load))))], " ")),
		fmt.Sprintf("%s %s, commits reach the disk: %t; nats-server %s, its defaults; %s", w.srv.Flavor(), w.srv.Version(), w.opts.durable, server.VERSION, runtime.Version()),
	}
	if w.opts.apart {
		facts = append(facts, fmt.Sprintf("NATS servers on processors %s, everything else on %s", numbers(w.apart.brokers), numbers(w.apart.rest)))
	}
	return facts
}

func numbers(list []int) string { return ints{&list}.String() }

func procField(file, name string) string {
	text, _ := os.ReadFile(file)
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// median of an odd or even number of values.
func median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// thousands is n, rounded, with commas.
func thousands(n float64) string {
	text := fmt.Sprintf("%.0f", n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func ratio(a, b float64) string { return fmt.Sprintf("%.2f", a/b) }

func millis(d time.Duration) string { return fmt.Sprintf("%.2f", float64(d)/float64(time.Millisecond)) }

func megabytes(n float64) string { return fmt.Sprintf("%.0f", n/(1<<20)) }
