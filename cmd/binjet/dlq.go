package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/binjet/binjet/cmd/binjet/internal/event"
	"github.com/binjet/binjet/cmd/binjet/internal/payload"
	"github.com/binjet/binjet/consumer"
)

func newDLQ(p process) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dlq",
		Short: "List, show, replay and drop dead letters",
		Long: `Dead letters are events that a consumer gave up, and rows that a relay could not publish
(quarantined). They lie in the stream <stream>_DLQ until they are replayed or dropped.

A replay puts an event back for the consumer that gave it up, and for no other. It keeps
its ID, so an inbox that has handled it meanwhile passes it over.

A quarantined row can't be replayed: no consumer has seen it, and what keeps it from being
published is in the row itself. Insert it again, mended, into the outbox table (dlq show
prints it whole), and drop the dead letter.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SetOut(p.stderr)
			_ = cmd.Help()
			return errors.New("name a command of dlq")
		},
	}
	cmd.AddCommand(newDLQList(p), newDLQShow(p), newDLQReplay(p), newDLQDrop(p))
	return cmd
}

// letterFilter are the flags that choose dead letters.
type letterFilter struct {
	by, topic, id, reason, since, before string
	all                                  bool
}

func (f *letterFilter) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.by, "by", "", "only those of this consumer, or of a relay's source")
	flags.StringVar(&f.topic, "topic", "", "only of this topic, or pattern of topics: orders.*, orders.>")
	flags.StringVar(&f.id, "id", "", "only the message of this ID")
	flags.StringVar(&f.reason, "reason", "", "only with this text in the reason")
	flags.StringVar(&f.since, "since", "", "only given up since then: 90m ago, or 2026-01-31T12:00:00Z")
	flags.StringVar(&f.before, "before", "", "only given up before then")
	_ = cmd.RegisterFlagCompletionFunc("by", completeGivers())
}

func (f *letterFilter) filter(now time.Time) (consumer.Filter, error) {
	since, err := moment(f.since, now)
	if err != nil {
		return consumer.Filter{}, fmt.Errorf("--since: %w", err)
	}
	before, err := moment(f.before, now)
	if err != nil {
		return consumer.Filter{}, fmt.Errorf("--before: %w", err)
	}
	return consumer.Filter{By: f.by, Topic: f.topic, ID: f.id, Reason: f.reason, Since: since, Before: before}, nil
}

func (f *letterFilter) isSet() bool {
	return f.all || f.by != "" || f.topic != "" || f.id != "" || f.reason != "" || f.since != "" || f.before != ""
}

// moment reads a point in time: RFC 3339, or how long ago it was. "" is none.
func moment(s string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(strings.TrimSuffix(s, " ago")); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	t, err := pointInTime(s)
	if err != nil {
		return t, fmt.Errorf("%w, and no duration such as 90m", err)
	}
	return t, nil
}

// letter is a dead letter as it is printed.
type letter struct {
	Sequence    uint64      `json:"sequence"`
	At          time.Time   `json:"at"`
	By          string      `json:"by"`
	Quarantined bool        `json:"quarantined"`
	Reason      string      `json:"reason"`
	Attempts    int         `json:"attempts"`
	Replays     int         `json:"replays"`
	Part        string      `json:"part,omitempty"`
	Stack       string      `json:"stack,omitempty"`
	Event       event.Event `json:"event"`
}

func letterOf(l *consumer.DeadLetter) letter {
	return letter{Sequence: l.Sequence, At: l.At, By: l.By, Quarantined: l.Quarantined, Reason: l.Reason, Attempts: l.Attempts,
		Replays: l.Message.Replayed, Part: l.Part, Stack: l.Stack, Event: event.Of(l.Message)}
}

func newDLQList(p process) *cobra.Command {
	var f letterFilter
	var limit int
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List dead letters, the oldest first",
		Example: "  binjet dlq list --by billing --since 2h\n  binjet dlq list -o json | jq -r .reason | sort | uniq -c",
		Args:    noArguments,
		RunE: visitingLetters(p, func(v *visit, letters *consumer.DeadLetters, _ []string) error {
			filter, err := f.filter(time.Now())
			if err != nil {
				return err
			}
			return failed(v.listLetters(letters, filter, limit))
		}),
	}
	f.add(cmd)
	cmd.Flags().IntVar(&limit, "limit", 0, "end after so many; 0 for all")
	return cmd
}

// listLetters prints a line for each as it is read, so that any number can be listed.
func (v *visit) listLetters(letters *consumer.DeadLetters, filter consumer.Filter, limit int) error {
	asJSON, err := wantsJSON(v.cmd)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(v.p.stdout, 0, 0, 2, ' ', 0)
	n := 0
	for l, err := range letters.List(v.ctx, filter) {
		if err != nil {
			return err
		}
		if n++; n == 1 && !asJSON {
			fmt.Fprintln(w, "SEQUENCE\tGIVEN UP\tBY\tTOPIC\tID\tATTEMPTS\tREASON")
		}
		if asJSON {
			err = emitLine(v.cmd, letterOf(l), nil)
		} else {
			_, err = fmt.Fprintln(w, letterOf(l).row())
		}
		if err != nil || n == limit {
			return errors.Join(err, w.Flush())
		}
		if n%500 == 0 { // columns are aligned by what is held
			if err := w.Flush(); err != nil {
				return err
			}
		}
	}
	if n == 0 {
		v.say("no dead letters")
	}
	return w.Flush()
}

// longestReason is how much of a reason stands in a list.
const longestReason = 200

func (l letter) row() string {
	by, reason := l.By, []rune(l.Reason)
	if l.Quarantined {
		by += " (quarantined)"
	}
	if len(reason) > longestReason {
		reason = append(reason[:longestReason], '…')
	}
	cells := []string{fmt.Sprint(l.Sequence), l.At.UTC().Format(time.RFC3339), by, l.Event.Topic, l.Event.ID, fmt.Sprint(l.Attempts), string(reason)}
	for i := range cells {
		cells[i] = strings.ReplaceAll(payload.Clean(cells[i]), "\t", " ")
	}
	return strings.Join(cells, "\t")
}

func newDLQShow(p process) *cobra.Command {
	return settled(&cobra.Command{
		Use:   "show SEQUENCE",
		Short: "Show a dead letter whole: reason, stack, headers and payload",
		Args:  cobra.ExactArgs(1),
		RunE: visitingLetters(p, func(v *visit, letters *consumer.DeadLetters, args []string) error {
			sequences, err := numbers(args)
			if err != nil {
				return err
			}
			l, err := letters.Get(v.ctx, sequences[0])
			if err != nil {
				return failed(letterAdvice(err))
			}
			one := letterOf(l)
			return emit(v.cmd, one, one.text)
		}),
	})
}

func (l letter) text(w io.Writer) error {
	var b strings.Builder
	who := "given up by consumer " + l.By + fmt.Sprintf(" after %d attempts", l.Attempts)
	if l.Quarantined {
		who = "quarantined by the relay of source " + l.By
	}
	fmt.Fprintf(&b, "dead letter %d, %s at %s\n", l.Sequence, who, l.At.UTC().Format(time.RFC3339))
	fmt.Fprintf(&b, "reason: %s\n", l.Reason)
	if l.Part != "" {
		fmt.Fprintf(&b, "part: %s of a row that is larger than a message\n", l.Part)
	}
	if l.Replays > 0 {
		fmt.Fprintf(&b, "replayed before: %d\n", l.Replays)
	}
	if l.Stack != "" {
		fmt.Fprintf(&b, "stack:\n%s\n", event.Indent(l.Stack))
	}
	if _, err := io.WriteString(w, payload.Clean(b.String())); err != nil {
		return err
	}
	if err := l.Event.Text(w); err != nil {
		return err
	}
	next := fmt.Sprintf("next: binjet dlq replay %d, or drop it", l.Sequence)
	if l.Quarantined {
		next = fmt.Sprintf("next: insert it again, mended and under the same ID where that is free, into the outbox table; then binjet dlq drop %d", l.Sequence)
	}
	_, err := fmt.Fprintln(w, next)
	return err
}

// visitingLetters is visiting with the dead letters of the stream.
func visitingLetters(p process, work func(*visit, *consumer.DeadLetters, []string) error) func(*cobra.Command, []string) error {
	return visiting(p, false, func(v *visit, args []string) error {
		nc, js, err := v.broker()
		if err != nil {
			return failed(err)
		}
		defer nc.Close()
		letters, err := consumer.OpenDeadLetters(v.ctx, js, v.cfg.Stream.Name)
		if err != nil {
			return failed(natsError(nc, err))
		}
		return work(v, letters, args)
	})
}

// numbers reads sequences.
func numbers(args []string) ([]uint64, error) {
	var list []uint64
	for _, arg := range args {
		n, err := strconv.ParseUint(strings.TrimPrefix(arg, "#"), 10, 64)
		if err != nil || n == 0 {
			return nil, fmt.Errorf("%q is no sequence of a dead letter: binjet dlq list shows them", arg)
		}
		if !slices.Contains(list, n) {
			list = append(list, n)
		}
	}
	return list, nil
}

func letterAdvice(err error) error {
	switch {
	case errors.Is(err, consumer.ErrNoDeadLetter):
		return advise(err, "binjet dlq list shows those that are there")
	case errors.Is(err, consumer.ErrQuarantined):
		return advise(err, "binjet dlq show prints it whole; drop it when that is done")
	case errors.Is(err, consumer.ErrNoConsumer):
		return advise(err, "start that consumer once: it makes what replays are read through")
	}
	return err
}

// settled gives cmd the flags of the configuration.
func settled(cmd *cobra.Command) *cobra.Command {
	addSettings(cmd)
	return cmd
}
