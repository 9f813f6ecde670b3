package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/binjet/binjet/consumer"
)

func newDLQReplay(p process) *cobra.Command {
	var f letterFilter
	var rate string
	cmd := &cobra.Command{
		Use:   "replay [SEQUENCE…]",
		Short: "Put dead letters back for the consumer that gave them up",
		Long: `Put dead letters back for the consumer that gave them up, and for no other: those named
by their sequence, or all that fit the filters (--all for all there are).

Each is stored as a replay before it leaves the dead letters, so none is lost, whenever
this is interrupted. A replay begins at attempt 1, comes behind all that was handled
meanwhile, also of its key, and becomes a dead letter again when its attempts are used up.
Quarantined rows are passed over.`,
		Example: "  binjet dlq replay 17 18\n  binjet dlq replay --by billing --reason timeout --since 2h --rate 10/s",
		RunE: visitingLetters(p, func(v *visit, letters *consumer.DeadLetters, args []string) error {
			perSecond, err := perSecond(rate)
			if err != nil {
				return fmt.Errorf("--rate: %w", err)
			}
			return v.changeLetters(letters, args, &f, letterChange{verb: "replay", done: "replayed", perSecond: perSecond, skipQuarantined: true,
				one: func(seq uint64) error { _, err := letters.Replay(v.ctx, seq); return err }})
		}),
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&f.all, "all", false, "all dead letters there are")
	cmd.Flags().StringVar(&rate, "rate", "", "at most so many: 10/s, 600/m; default: as fast as the broker stores them")
	addConfirmation(cmd)
	return settled(cmd)
}

func newDLQDrop(p process) *cobra.Command {
	var f letterFilter
	cmd := &cobra.Command{
		Use:     "drop [SEQUENCE…]",
		Short:   "Remove dead letters for good",
		Long:    "Remove dead letters for good: those named by their sequence, or all that fit the filters\n(--all for all there are). Nothing brings them back.",
		Example: "  binjet dlq drop 17\n  binjet dlq drop --topic 'test.>' --dry-run",
		RunE: visitingLetters(p, func(v *visit, letters *consumer.DeadLetters, args []string) error {
			return v.changeLetters(letters, args, &f, letterChange{verb: "drop", done: "dropped",
				one: func(seq uint64) error { _, err := letters.Drop(v.ctx, seq); return err }})
		}),
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&f.all, "all", false, "all dead letters there are")
	addConfirmation(cmd)
	return settled(cmd)
}

// letterChange is what is done with dead letters, one by one.
type letterChange struct {
	verb, done      string
	perSecond       float64
	skipQuarantined bool
	one             func(sequence uint64) error
}

// letterResult is what became of them.
type letterResult struct {
	DryRun bool `json:"dry_run"`
	// Chosen fit; Done of them were changed; Skipped are quarantined rows; Failed say why.
	Chosen  int      `json:"chosen"`
	Done    int      `json:"done"`
	Skipped int      `json:"skipped_quarantined"`
	Failed  []string `json:"failed"`
}

// changeLetters chooses, asks, and changes. What is chosen is what was there when it
// was asked, so that what dies again meanwhile is left alone.
func (v *visit) changeLetters(letters *consumer.DeadLetters, args []string, f *letterFilter, change letterChange) error {
	sequences, skipped, err := v.choose(letters, args, f, change)
	if err != nil {
		return err
	}
	result := letterResult{DryRun: v.dryRun(), Chosen: len(sequences), Skipped: skipped, Failed: []string{}}
	if result.DryRun || len(sequences) == 0 {
		return emit(v.cmd, result, func(w io.Writer) error {
			would := "would " + change.verb
			if !result.DryRun {
				would = "nothing to " + change.verb + ":"
			}
			_, err := fmt.Fprintf(w, "%s %s%s\n", would, plural(len(sequences), "dead letter"), passedOver(skipped))
			return err
		})
	}
	if err := v.confirmed(fmt.Sprintf("%s %s?", strings.ToUpper(change.verb[:1])+change.verb[1:], plural(len(sequences), "dead letter"))); err != nil {
		return err
	}
	v.apply(sequences, change, &result)
	err = emit(v.cmd, result, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%s %d of %s%s\n", change.done, result.Done, plural(len(sequences), "dead letter"), passedOver(skipped))
		return err
	})
	switch {
	case err != nil:
		return err
	case v.ctx.Err() != nil:
		return failed(fmt.Errorf("interrupted after %d: the others are as they were", result.Done))
	case len(result.Failed) > 0:
		return failed(errors.New(strings.Join(result.Failed, "\n")))
	}
	return nil
}

func (v *visit) apply(sequences []uint64, change letterChange, result *letterResult) {
	var pace <-chan time.Time
	if change.perSecond > 0 {
		tick := time.NewTicker(max(time.Duration(float64(time.Second)/change.perSecond), 1))
		defer tick.Stop()
		pace = tick.C
	}
	for i, seq := range sequences {
		if pace != nil && i > 0 {
			select {
			case <-pace:
			case <-v.ctx.Done():
			}
		}
		if v.ctx.Err() != nil {
			return
		}
		if err := change.one(seq); err != nil {
			result.Failed = append(result.Failed, letterAdvice(err).Error())
			continue
		}
		if result.Done++; result.Done%1000 == 0 {
			v.say("%s %d of %d", change.done, result.Done, len(sequences))
		}
	}
}

// choose returns the sequences that were named, or that fit.
func (v *visit) choose(letters *consumer.DeadLetters, args []string, f *letterFilter, change letterChange) (list []uint64, skipped int, err error) {
	switch {
	case len(args) > 0 && f.isSet():
		return nil, 0, errors.New("give sequences or filters, not both")
	case len(args) > 0:
		list, err = numbers(args)
		return list, 0, err
	case !f.isSet():
		return nil, 0, errors.New("say which: sequences, filters, or --all")
	}
	filter, err := f.filter(time.Now())
	if err != nil {
		return nil, 0, err
	}
	for l, err := range letters.List(v.ctx, filter) {
		switch {
		case err != nil:
			return nil, 0, failed(err)
		case l.Quarantined && change.skipQuarantined:
			skipped++
		default:
			list = append(list, l.Sequence)
		}
	}
	return list, skipped, nil
}

func passedOver(skipped int) string {
	if skipped == 0 {
		return ""
	}
	return fmt.Sprintf("; %s passed over, which can't be replayed (see binjet dlq --help)", plural(skipped, "quarantined row"))
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// perSecond reads 10/s, 600/m or 100/h; "" is 0.
func perSecond(s string) (float64, error) {
	if s == "" {
		return 0, nil
	}
	number, unit, _ := strings.Cut(s, "/")
	n, err := strconv.ParseFloat(number, 64)
	per, known := map[string]float64{"s": 1, "m": 60, "h": 3600}[unit]
	if err != nil || !known || !(n > 0 && n <= 1e6) {
		return 0, fmt.Errorf("%q is no rate such as 10/s, 600/m or 100/h", s)
	}
	return n / per, nil
}
