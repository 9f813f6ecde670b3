package status

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/binjet/binjet/relay"
)

// Text prints the report for people: the verdict last, where the eye is.
func (r *Report) Text(w io.Writer) error {
	p := &printer{w: tabwriter.NewWriter(w, 0, 0, 2, ' ', 0), at: r.At, silent: r.Stream.Error != ""}
	p.source(&r.Source)
	p.relay(&r.Relay)
	p.stream(&r.Stream)
	p.consumers(r.Consumers)
	p.deadLetters(&r.DeadLetters)
	if err := p.w.Flush(); err != nil {
		return err
	}
	var b strings.Builder
	for _, f := range r.Problems {
		b.WriteString("PROBLEM  " + f.String() + "\n")
	}
	for _, f := range r.Warnings {
		b.WriteString("warning  " + f.String() + "\n")
	}
	if r.Healthy {
		b.WriteString("healthy\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (f Finding) String() string {
	if f.Next == "" {
		return f.What
	}
	return f.What + "\n         next: " + f.Next
}

type printer struct {
	w  *tabwriter.Writer
	at time.Time
	// silent: the stream can't be asked, which is said once.
	silent bool
}

func (p *printer) title(format string, args ...any) { fmt.Fprintf(p.w, format+"\n", args...) }

func (p *printer) line(name, format string, args ...any) {
	fmt.Fprintf(p.w, "  %s\t%s\n", name, fmt.Sprintf(format, args...))
}

func (p *printer) source(s *Source) {
	p.title("source %s at %s", s.Name, s.Address)
	if s.Error != "" {
		p.line("DOWN", "%s", s.Error)
		return
	}
	p.line("server", "%s %s", s.Flavor, s.Version)
	p.line("ends at", "%s", s.Position)
	p.lag(s)
	if b := s.Binlogs; b != nil {
		p.binlogs(b)
	}
}

func (p *printer) lag(s *Source) {
	var behind string
	switch {
	case s.LagTransactions != nil:
		behind = count(*s.LagTransactions, "transaction")
	case s.LagBytes != nil:
		behind = bytes(*s.LagBytes)
	default:
		return
	}
	switch {
	case s.LagError != "":
		behind += ", since when is not known: " + s.LagError
	case s.LagSeconds != nil && *s.LagSeconds > 0:
		behind += ", the oldest from " + seconds(*s.LagSeconds) + " ago"
	}
	if s.TransactionsPerSecond != nil {
		behind += fmt.Sprintf("; %.0f commits/s", *s.TransactionsPerSecond)
	}
	p.line("lag", "%s", behind)
	if s.Readable != nil && !*s.Readable {
		p.line("UNREADABLE", "%s", s.Unreadable)
	}
}

func (p *printer) binlogs(b *Binlogs) {
	kept := "for ever"
	if b.KeptSeconds > 0 {
		kept = "for " + seconds(b.KeptSeconds)
	}
	if b.Files == 0 {
		p.line("binlogs", "kept %s; not listed: %s", kept, b.Error)
		return
	}
	p.line("binlogs", "%s to %s, %s in %s, kept %s", b.First, b.Last, bytes(b.Bytes), count(uint64(b.Files), "file"), kept)
	switch {
	case b.Error != "":
		p.line("still needed", "not known: %s", b.Error)
	case b.Needed == "":
	case b.LeftSeconds != nil:
		p.line("still needed", "from %s on (%s in %s): do not purge it; kept for %s more", b.Needed, bytes(b.NeededBytes), count(uint64(b.NeededFiles), "file"), seconds(*b.LeftSeconds))
	default:
		p.line("still needed", "from %s on (%s)", b.Needed, bytes(b.NeededBytes))
	}
}

func (p *printer) relay(r *Relay) {
	switch {
	case p.silent:
		return
	case r.Error != "":
		p.title("relay")
		p.line("checkpoint", "%s", r.Error)
		return
	case !r.Exists:
		p.title("relay")
		p.line("checkpoint", "none yet")
		p.standbys(r)
		return
	}
	state := "leads"
	switch {
	case r.Released:
		state = "has stopped"
	case !r.Alive:
		state = "is SILENT"
	}
	p.title("relay %s %s", r.Leader, state)
	p.line("epoch", "%d since %s (%s)", r.Epoch, r.Since.UTC().Format(time.RFC3339), p.ago(r.Since))
	p.line("position", "%s", r.Position)
	p.line("checkpoint", "sequence %d, written %s ago", r.Sequence, p.ago(r.Written))
	rate := ""
	if r.EventsPerSecond != nil {
		rate = fmt.Sprintf(", %.0f/s", *r.EventsPerSecond)
	}
	p.line("published", "%s%s", count(r.Events, "event"), rate)
	p.progress(r)
	if s := r.Set; s != nil {
		p.line("was set", "by %s at %s from %s to %s: %s", s.By, s.At.UTC().Format(time.RFC3339), s.From, s.To, s.Reason)
	}
	if k := r.Copies; k != nil && k.Error == "" && k.Kept > 0 {
		p.line("copies", "%d, the newest %s old", k.Kept, seconds(k.AgeSeconds))
	}
	p.standbys(r)
}

// standbys are who would take over.
func (p *printer) standbys(r *Relay) {
	n := 0
	for _, one := range r.Processes {
		if one.Role != relay.Standby {
			continue
		}
		n++
		state := "could take over"
		if why, ok := one.CouldLead(); !ok {
			state = "CAN'T take over: " + why
		}
		p.line("standby", "%s since %s (%s), %s", one.Instance, one.Since.UTC().Format(time.RFC3339), p.ago(one.Since), state)
	}
	switch {
	case n > 0:
	case r.ProcessesError == "":
		p.line("standby", "none: nobody would take over")
	case r.Alive:
		p.line("standbys", "not known: %s; one of an older version does not, nor one that may not", r.ProcessesError)
	}
}

// progress is what is only there at times.
func (p *printer) progress(r *Relay) {
	if r.LastTransaction != "" {
		p.line("last events", "of %s, committed %s ago", r.LastTransaction, p.ago(r.LastCommitted))
	}
	if r.Partial != "" {
		p.line("in parts", "%s", r.Partial)
	}
	switch s := r.Snapshot; {
	case s == nil:
	case !s.Begun:
		p.line("snapshot", "not begun")
	default:
		p.line("snapshot", "table %s, %d rows of about %d", s.Table, s.Rows, s.Estimate)
	}
	for _, x := range r.XA {
		p.line("undecided XA", "%s, %s, for %s", x.XID, count(uint64(x.Rows), "outbox row"), seconds(x.AgeSeconds))
	}
}

func (p *printer) stream(s *Stream) {
	p.title("stream %s at %s", s.Name, s.Address)
	switch {
	case s.Missing:
		p.line("MISSING", "there is no such stream")
		return
	case s.Error != "":
		p.line("DOWN", "%s", s.Error)
		return
	}
	p.line("server", "nats-server %s", s.Version)
	p.line("holds", "%s, %s, sequences %d to %d, %s", count(s.Messages, "message"), bytes(s.Bytes), s.FirstSequence, s.LastSequence, count(uint64(s.Replicas), "replica"))
	var limits []string
	if s.MaxBytes > 0 {
		limits = append(limits, bytes(uint64(s.MaxBytes)))
	}
	if s.MaxMessages > 0 {
		limits = append(limits, count(uint64(s.MaxMessages), "message"))
	}
	if s.MaxAgeSeconds > 0 {
		limits = append(limits, seconds(s.MaxAgeSeconds))
	}
	if limits == nil {
		limits = []string{"none"}
	}
	p.line("limits", "%s", strings.Join(limits, ", "))
}

func (p *printer) consumers(list []Consumer) {
	if len(list) == 0 {
		return
	}
	p.title("consumers\tpending\tunacked\tredelivered\tdone up to\tlast active")
	for _, c := range list {
		pending, redelivered, active := fmt.Sprint(c.Pending), fmt.Sprint(c.Redelivered), "never"
		if c.Ordered {
			redelivered = "by key"
		}
		if !c.PendingKnown {
			pending = "?"
		}
		if !c.LastActive.IsZero() {
			active = p.ago(c.LastActive) + " ago"
		}
		if c.Paused {
			active += ", paused"
		}
		fmt.Fprintf(p.w, "  %s\t%s\t%d\t%s\t%d\t%s\n", c.Name, pending, c.Unacked, redelivered, c.AckFloor, active)
	}
}

func (p *printer) deadLetters(d *DeadLetters) {
	if !d.Exists {
		return
	}
	p.title("dead letters in %s: %d", d.Stream, d.Count)
	for _, by := range slices.Sorted(maps.Keys(d.By)) {
		p.line(by, "%d", d.By[by])
	}
	if d.Replays > 0 {
		p.line("(replays)", "%d wait for their consumers", d.Replays)
	}
}

func (p *printer) ago(t time.Time) string { return seconds(max(0, p.at.Sub(t).Seconds())) }
