package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/checkpoint/store"
	"github.com/binjet/binjet/cmd/binjet/internal/config"
	"github.com/binjet/binjet/relay"
)

func newPosition(p process) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "position",
		Short: "Show, set, export and import the published position",
		Long: `The position is how far the source has been published. It lies in the stream itself, in
the same batch as the events, and a relay goes on from it and from nowhere else.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SetOut(p.stderr)
			_ = cmd.Help()
			return errors.New("name a command of position")
		},
	}
	cmd.AddCommand(newPositionShow(p), newPositionSet(p), newPositionExport(p), newPositionImport(p))
	return cmd
}

// saved is a checkpoint in a file, and what position show prints.
type saved struct {
	// Format tells the file from others, and later forms of it from this one.
	Format   string     `json:"format"`
	Exported time.Time  `json:"exported_at"`
	By       string     `json:"by"`
	Where    string     `json:"position"`
	Saved    store.Copy `json:"saved"`
}

const savedFormat = "binjet position 1"

// held reads the checkpoint and where it lies.
func (v *visit) held(nc *nats.Conn) (store.Copy, error) {
	ctx, cancel := context.WithTimeout(v.ctx, askTimeout)
	defer cancel()
	st := store.New(nc, v.cfg.Stream.Name, v.cfg.Source.Name)
	held, err := st.Load(ctx)
	if errors.Is(err, store.ErrNotFound) {
		return store.Copy{}, advise(fmt.Errorf("stream %s holds no checkpoint of source %s", v.cfg.Stream.Name, v.cfg.Source.Name),
			"binjet run makes the first one; where there was one before, binjet position import puts a saved one back")
	}
	if err != nil {
		return store.Copy{}, natsError(nc, err)
	}
	state, err := st.State(ctx)
	if err != nil {
		return store.Copy{}, natsError(nc, err)
	}
	return store.Copy{Checkpoint: held.Checkpoint, Seq: held.Seq, Stream: v.cfg.Stream.Name, Created: state.Created}, nil
}

func newPositionShow(p process) *cobra.Command {
	return settled(&cobra.Command{
		Use:   "show",
		Short: "Show the checkpoint that the stream holds",
		Args:  noArguments,
		RunE: visiting(p, false, func(v *visit, _ []string) error {
			nc, _, err := v.broker()
			if err != nil {
				return failed(err)
			}
			defer nc.Close()
			held, err := v.held(nc)
			if err != nil {
				return failed(err)
			}
			return emit(v.cmd, held, func(w io.Writer) error { return printHeld(w, held) })
		}),
	})
}

func printHeld(w io.Writer, held store.Copy) error {
	c := held.Checkpoint
	state := "led by " + c.Instance
	if c.Released {
		state = "released by " + c.Instance
	}
	_, err := fmt.Fprintf(w, "position  %s\nsource    %s, %s, server %s\nstream    %s, created %s, sequence %d\nwritten   %s, epoch %d, %s\nevents    %d published in all\n",
		c.Where(), c.Source, c.Flavor, c.ServerUUID, held.Stream, held.Created.UTC().Format(time.RFC3339), held.Seq,
		c.At.UTC().Format(time.RFC3339), c.Epoch, state, c.Count)
	if s := c.Set; s != nil && err == nil {
		_, err = fmt.Fprintf(w, "was set   by %s at %s from %s to %s: %s\n", s.By, s.At.UTC().Format(time.RFC3339), s.From, s.To, s.Reason)
	}
	return err
}

func newPositionExport(p process) *cobra.Command {
	return settled(&cobra.Command{
		Use:   "export [FILE]",
		Short: "Save the checkpoint to a file, for the day on which the stream is lost",
		Long: `Save the checkpoint to a file, or to standard output: for a backup beside the stream's own,
and for the move to another cluster. It holds no secrets and no events.`,
		Example: "  binjet position export /backup/shop.position.json",
		Args:    cobra.MaximumNArgs(1),
		RunE: visiting(p, false, func(v *visit, args []string) error {
			nc, _, err := v.broker()
			if err != nil {
				return failed(err)
			}
			defer nc.Close()
			held, err := v.held(nc)
			if err != nil {
				return failed(err)
			}
			return failed(v.export(held, args))
		}),
	})
}

// export writes a file anew or not at all.
func (v *visit) export(held store.Copy, args []string) error {
	out := saved{Format: savedFormat, Exported: time.Now().UTC(), By: operator(), Where: held.Checkpoint.Where(), Saved: held}
	data, err := encoded(out)
	if err != nil {
		return err
	}
	if len(args) == 0 || args[0] == "-" {
		_, err := v.p.stdout.Write(data)
		return err
	}
	partial := args[0] + ".partial"
	if err := os.WriteFile(partial, data, 0o600); err != nil {
		return fmt.Errorf("save the position: %w", err)
	}
	if err := os.Rename(partial, args[0]); err != nil {
		return fmt.Errorf("save the position: %w", err)
	}
	return emit(v.cmd, out, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "saved %s at sequence %d of stream %s to %s\n", out.Where, held.Seq, held.Stream, args[0])
		return err
	})
}

// operatorRelay is a relay that is never run: it holds and writes checkpoints.
func (v *visit) operatorRelay(nc *nats.Conn, reader *binlog.Reader) (*relay.Relay, error) {
	cfg := relayConfig(v.cfg, nc, reader, v.log)
	cfg.Instance, cfg.Manage = "operator "+operator(), false
	return relay.New(cfg)
}

// readerAt is a reader whose start is a position, with which gaps are not mended.
func (v *visit) readerAt(start string) (*binlog.Reader, error) {
	return v.reader(func(s *config.Source) { s.Start, s.OnGap = start, binlog.HaltOnGap })
}

// passage is what a move of the position would skip and repeat.
type passage struct {
	From string `json:"from"`
	To   string `json:"to"`
	// Skipped would never be published, Repeated published again. Counts are of
	// transactions of all tables, and of events.
	Skipped  counted `json:"skipped"`
	Repeated counted `json:"repeated"`
	// Behind lies in the stream behind From already, and is repeated too where To is not
	// behind it. Absent where nothing does, or the position stays.
	Behind *relay.Behind `json:"behind,omitempty"`
}

// counted is what the binlog says of one direction; Error why it says nothing.
type counted struct {
	Transactions uint64    `json:"transactions"`
	Events       uint64    `json:"events"`
	First        time.Time `json:"first_committed,omitzero"`
	Last         time.Time `json:"last_committed,omitzero"`
	More         bool      `json:"more"`
	Error        string    `json:"error,omitempty"`
}

// countTimeout bounds the reading of each direction.
const countTimeout = time.Minute

// compare reads the binlog both ways: a set of GTIDs can be ahead and behind at once.
func compare(ctx context.Context, reader *binlog.Reader, from, to checkpoint.Position, behind relay.Behind) passage {
	p := passage{From: from.Where(), To: to.Where(), Skipped: countBetween(ctx, reader, from, to), Repeated: countBetween(ctx, reader, to, from)}
	if behind.Events > 0 && p.From != p.To {
		p.Behind = &behind
	}
	return p
}

func countBetween(ctx context.Context, reader *binlog.Reader, from, to checkpoint.Position) (c counted) {
	ctx, cancel := context.WithTimeout(ctx, countTimeout)
	defer cancel()
	from.Partial, from.XA, from.Last, from.Read = nil, nil, nil, nil
	p, err := reader.Passage(ctx, from, to, nil)
	if err != nil {
		return counted{Error: err.Error()}
	}
	return counted{Transactions: p.Transactions, Events: p.Events, First: p.First, Last: p.Last, More: !p.Whole}
}

func (c counted) String() string {
	switch {
	case c.Error != "":
		return "not known: " + c.Error
	case c.Transactions == 0:
		return "nothing"
	}
	text := fmt.Sprintf("%d events of %d transactions, committed %s to %s", c.Events, c.Transactions, c.First.UTC().Format(time.RFC3339), c.Last.UTC().Format(time.RFC3339))
	if c.More {
		text = "at least " + text
	}
	return text
}

func (p passage) text(w io.Writer) error {
	_, err := fmt.Fprintf(w, "from      %s\nto        %s\nskipped   %s\nrepeated  %s\n", p.From, p.To, p.Skipped, p.Repeated)
	if b := p.Behind; b != nil && err == nil {
		_, err = fmt.Fprintf(w, "behind    %d events lie in the stream behind that already, %s at sequence %d to %s at %d: they are repeated too, unless the new position is behind them\n",
			b.Events, b.First, b.FirstSequence, b.Last, b.LastSequence)
	}
	return err
}
