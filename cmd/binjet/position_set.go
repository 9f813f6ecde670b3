package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/checkpoint/store"
	"github.com/binjet/binjet/relay"
)

func newPositionSet(p process) *cobra.Command {
	var reason string
	var force bool
	cmd := &cobra.Command{
		Use:   "set POSITION",
		Short: "Go on from another position, with the reason",
		Long: `Go on from another position: a GTID set (for MySQL all transactions before it, for MariaDB
the last one of each domain), file:offset on MySQL without GTIDs, latest, or earliest.

What lies between is shown first, by reading the binlog. Skipped events are never
published. Repeated ones lie in the stream twice, under the IDs they had: consumers with an
inbox pass them over for as long as it remembers them, and others handle them again.

The command takes the checkpoint over like a relay would, so nothing is published while it
asks; a relay that leads is refused by the broker from then on, stands by, and goes on from
what was set. With a leader that is alive it wants --force all the same: you may be about
to move a position that is fine. Who did it, when and why stays in the checkpoint.`,
		Example: "  binjet position set --reason 'INC-7: poison transaction' 3e11fa47-71ca-11e1-9e33-c80aa9429562:1-1042\n  binjet position set latest --reason 'new environment, history not wanted' --dry-run",
		Args:    cobra.ExactArgs(1),
		RunE: visiting(p, true, func(v *visit, args []string) error {
			if err := checkReason(reason); err != nil {
				return err
			}
			if args[0] == binlog.StartSnapshot {
				return errors.New("snapshot is no position: rows that are published would come again; to mend a gap from the tables, set source.on_gap to rescan")
			}
			if err := v.mayAsk(); err != nil {
				return err
			}
			return failed(v.setPosition(args[0], reason, force))
		}),
	}
	addSettings(cmd)
	addReason(cmd, &reason)
	cmd.Flags().BoolVar(&force, "force", false, "also while a relay leads: it is deposed, and goes on from there")
	addConfirmation(cmd)
	return cmd
}

func addReason(cmd *cobra.Command, reason *string) {
	cmd.Flags().StringVar(reason, "reason", "", "why, for whoever asks later; required")
}

// maxReason keeps the checkpoint small, which is written again and again.
const maxReason = 200

func checkReason(reason string) error {
	switch {
	case strings.TrimSpace(reason) == "":
		return errors.New("give the --reason: it stays in the checkpoint, for whoever asks later")
	case len(reason) > maxReason:
		return fmt.Errorf("--reason has %d bytes, more than %d", len(reason), maxReason)
	}
	return nil
}

// setPosition shows what a move does, asks, and moves.
func (v *visit) setPosition(target, reason string, force bool) error {
	reader, err := v.readerAt(target)
	if err != nil {
		return err
	}
	nc, _, err := v.broker()
	if err != nil {
		return err
	}
	defer nc.Close()
	if _, err := v.held(nc); err != nil {
		return err
	}
	to, err := v.target(reader)
	if err != nil {
		return err
	}
	if v.dryRun() {
		return v.foresee(nc, reader, to)
	}
	if !force {
		if err := v.refuseLeader(nc); err != nil {
			return err
		}
	}
	return v.move(nc, reader, to, reason)
}

// foresee shows what a move would do, and changes nothing.
func (v *visit) foresee(nc *nats.Conn, reader *binlog.Reader, to checkpoint.Position) error {
	r, err := v.operatorRelay(nc, reader)
	if err != nil {
		return err
	}
	held, behind, err := r.Look(v.ctx)
	if err != nil {
		return natsError(nc, err)
	}
	between := compare(v.ctx, reader, held.Position, to, behind)
	return emit(v.cmd, between, between.text)
}

// target is the position to go on from, if the source can be read on from it.
func (v *visit) target(reader *binlog.Reader) (checkpoint.Position, error) {
	ctx, cancel := context.WithTimeout(v.ctx, askTimeout)
	defer cancel()
	to, err := reader.Begin(ctx)
	if err == nil && !v.dryRun() {
		err = reader.Verify(ctx, to)
	}
	if err != nil {
		return to, fmt.Errorf("the source can't be read from there: %w", err)
	}
	return to, nil
}

// refuseLeader looks at the checkpoint for as long as a standby would, unless it is
// released: whoever writes it leads.
func (v *visit) refuseLeader(nc *nats.Conn) error {
	first, err := v.held(nc)
	if err != nil || first.Checkpoint.Released {
		return err
	}
	v.say("looking whether %s leads …", first.Checkpoint.Instance)
	deadline := time.Now().Add(3 * v.cfg.Relay.Heartbeat)
	for time.Now().Before(deadline) {
		select {
		case <-time.After(v.cfg.Relay.Heartbeat / 4):
		case <-v.ctx.Done():
			return v.ctx.Err()
		}
		again, err := v.held(nc)
		if err != nil {
			return err
		}
		if again.Seq != first.Seq && !again.Checkpoint.Released {
			return advise(fmt.Errorf("%s leads, and nothing was changed", again.Checkpoint.Instance),
				"stop the relays, or give --force, by which it is deposed and goes on from there")
		}
	}
	return nil
}

// move holds the checkpoint while it compares and asks.
func (v *visit) move(nc *nats.Conn, reader *binlog.Reader, to checkpoint.Position, reason string) error {
	r, err := v.operatorRelay(nc, reader)
	if err != nil {
		return err
	}
	hold, err := r.Hold(v.ctx)
	if err != nil {
		return natsError(nc, err)
	}
	between := compare(v.ctx, reader, hold.Held().Position, to, hold.Behind())
	if err := between.text(v.p.stderr); err != nil {
		return errors.Join(err, letGo(hold))
	}
	if err := v.confirmed("Nothing is published while this waits. Go on from there?"); err != nil {
		return errors.Join(err, letGo(hold))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(v.ctx), askTimeout)
	defer cancel()
	held, err := hold.Set(ctx, to, checkpoint.Set{By: operator(), Reason: reason})
	if err != nil {
		return natsError(nc, err)
	}
	return v.printSet(held, between)
}

// letGo releases, also when a signal has ended the command.
func letGo(hold *relay.Hold) error {
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	return hold.Release(ctx)
}

// setResult is what was set.
type setResult struct {
	Sequence uint64          `json:"sequence"`
	Epoch    uint64          `json:"epoch"`
	Set      *checkpoint.Set `json:"set"`
	Passage  *passage        `json:"passage,omitempty"`
}

func (v *visit) printSet(held store.Held, between passage) error {
	result := setResult{Sequence: held.Seq, Epoch: held.Epoch, Set: held.Set, Passage: &between}
	if between == (passage{}) {
		result.Passage = nil
	}
	return emit(v.cmd, result, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "set to %s at sequence %d, epoch %d: any relay goes on from there\n", held.Where(), held.Seq, held.Epoch)
		return err
	})
}

func newPositionImport(p process) *cobra.Command {
	var reason string
	var force bool
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Put a saved checkpoint back after the stream was lost, or on another cluster",
		Long: `Put a checkpoint that position export saved into a stream, so that a relay goes on from
there. The stream has to exist (binjet init) and the source to hold all that follows.

Into the stream that it was saved from, without its checkpoint, nothing is repeated: what
was published behind it is compared with the binlog. Another stream may hold no events of
the source. What was published between the export and the loss comes again, under the IDs
it had. Where the stream holds a checkpoint of the source, use position set.`,
		Example: "  binjet init\n  binjet position import /backup/shop.position.json --reason 'cluster lost'",
		Args:    cobra.ExactArgs(1),
		RunE: visiting(p, true, func(v *visit, args []string) error {
			if err := checkReason(reason); err != nil {
				return err
			}
			if err := v.mayAsk(); err != nil {
				return err
			}
			return failed(v.importPosition(args[0], reason, force))
		}),
	}
	addSettings(cmd)
	addReason(cmd, &reason)
	cmd.Flags().BoolVar(&force, "force", false, "also a checkpoint of another source name: the same database under a new one")
	addConfirmation(cmd)
	return cmd
}

func (v *visit) importPosition(path, reason string, force bool) error {
	from, err := v.readSaved(path)
	if err != nil {
		return err
	}
	c := from.Saved.Checkpoint
	if c.Source != v.cfg.Source.Name && !force {
		return advise(fmt.Errorf("%s is of source %s, and this is %s: nothing was changed", path, c.Source, v.cfg.Source.Name),
			"correct source.name, or give --force where it is the same database under a new name")
	}
	reader, err := v.readerAt(v.cfg.Source.Start)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(v.ctx, askTimeout)
	defer cancel()
	if err := reader.Verify(ctx, c.Position); err != nil {
		return fmt.Errorf("the source can't be read from the saved position: %w", err)
	}
	nc, _, err := v.broker()
	if err != nil {
		return err
	}
	defer nc.Close()
	v.say("saved     %s of stream %s, by %s\nposition  %s, %d events published, written %s", from.Exported.Format(time.RFC3339), from.Saved.Stream, from.By,
		c.Where(), c.Count, c.At.UTC().Format(time.RFC3339))
	if v.dryRun() {
		return emit(v.cmd, from, lines("would import it"))
	}
	if err := v.confirmed("Go on from there?"); err != nil {
		return err
	}
	r, err := v.operatorRelay(nc, reader)
	if err != nil {
		return err
	}
	held, err := r.Found(ctx, from.Saved, checkpoint.Set{By: operator(), Reason: reason, From: "saved at " + from.Exported.UTC().Format(time.RFC3339)})
	if errors.Is(err, relay.ErrCheckpointExists) {
		return advise(err, "binjet position show shows it, and position set moves it")
	}
	if err != nil {
		return natsError(nc, err)
	}
	return v.printSet(held, passage{})
}

// readSaved reads a file of position export; - is standard input.
func (v *visit) readSaved(path string) (from saved, err error) {
	var data []byte
	if path == "-" && v.p.stdin != nil {
		data, err = io.ReadAll(io.LimitReader(v.p.stdin, 16<<20))
	} else {
		data, err = os.ReadFile(path)
	}
	if err != nil {
		return from, fmt.Errorf("read the saved position: %w", err)
	}
	if err := json.Unmarshal(data, &from); err != nil || from.Format != savedFormat {
		return from, advise(fmt.Errorf("%s is no file of position export (format %q)", path, savedFormat), "a later version of binjet may read it")
	}
	whole, err := from.Saved.Checkpoint.Encode()
	if err == nil {
		_, err = checkpoint.Decode(whole)
	}
	if err != nil {
		return from, fmt.Errorf("%s: %w", path, err)
	}
	return from, nil
}

func encoded(value any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	err := enc.Encode(value)
	return b.Bytes(), err
}
