package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/binjet/binjet/cmd/binjet/internal/status"
)

func newStatus(p process) *cobra.Command {
	var watch bool
	var every, maxLag time.Duration
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Who leads and stands by, how far behind, what is needed, how the consumers are",
		Long: `Show who leads and since when, who stands by and whether it could take over, the position
and how far it is behind the source, what purging binlogs would endanger, the stream, every
consumer and the dead letters.

It only reads. When one side is down it says so, and shows what the other one knows.
The processes are asked themselves, so one that NATS does not reach is not listed: its
own /readyz says why.

The exit code is 1 when there is a PROBLEM: a side that can't be asked, nobody who
leads, a position that can't be read on from, a lag above --max-lag, a binlog that is
still needed and soon purged. Warnings do not change it.`,
		Example: `  binjet status
  binjet status --watch
  binjet status -o json | jq .source.lag_seconds`,
		Args: noArguments,
		RunE: visiting(p, true, func(v *visit, _ []string) error {
			if every < 100*time.Millisecond {
				return fmt.Errorf("--every %s is shorter than 100ms", every)
			}
			if !watch {
				return v.status(maxLag)
			}
			return v.watchStatus(maxLag, every)
		}),
	}
	addSettings(cmd)
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "show it again and again, until interrupted")
	cmd.Flags().DurationVar(&every, "every", 2*time.Second, "pause between two looks of --watch")
	cmd.Flags().DurationVar(&maxLag, "max-lag", time.Minute, "lag from which on it is a problem; 0 for never")
	return cmd
}

var errUnhealthy = toldFailure(errors.New("there are problems"))

// status prints one report.
func (v *visit) status(maxLag time.Duration) error {
	report, err := v.look(maxLag)
	if err != nil {
		return failed(err)
	}
	if err := emit(v.cmd, report, report.Text); err != nil {
		return err
	}
	if !report.Healthy {
		return errUnhealthy
	}
	return nil
}

// look collects one report. It connects each time, so that a side which is down is
// seen as such.
func (v *visit) look(maxLag time.Duration) (*status.Report, error) {
	reader, err := v.reader()
	if err != nil {
		return nil, err
	}
	nc, _, natsErr := v.broker()
	if natsErr == nil {
		defer nc.Close()
	}
	var next *adviceError
	natsNext := ""
	if errors.As(natsErr, &next) {
		natsErr, natsNext = next.what, next.next
	}
	return status.Collect(v.ctx, status.Config{
		Source: v.cfg.Source.Name, SourceAddress: v.cfg.Database.Addr, Reader: reader,
		Conn: nc, ConnError: natsErr, ConnNext: natsNext,
		Stream: v.cfg.Stream.Name, StreamAddress: redactURLs(v.cfg.NATS.URL),
		Heartbeat: v.cfg.Relay.Heartbeat, MaxLag: maxLag,
	})
}

// clearScreen moves to the top and clears what is below.
const clearScreen = "\x1b[H\x1b[2J"

// watchStatus prints a report after the other: over the one before on a terminal,
// one JSON document per line for programs.
func (v *visit) watchStatus(maxLag, every time.Duration) error {
	for {
		report, err := v.look(maxLag)
		if v.ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return failed(err)
		}
		err = emitLine(v.cmd, report, func(w io.Writer) error {
			if _, err := fmt.Fprintf(w, "%s%s\n", clearScreen, report.At.Format(time.RFC3339)); err != nil {
				return err
			}
			return report.Text(w)
		})
		if err != nil {
			return err
		}
		select {
		case <-time.After(every):
		case <-v.ctx.Done():
			return nil
		}
	}
}
