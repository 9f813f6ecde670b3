package status

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/checkpoint/store"
	"github.com/binjet/binjet/cmd/binjet/internal/presence"
)

// Reader is what is asked of the source. *binlog.Reader is one.
type Reader interface {
	Survey(ctx context.Context, p *checkpoint.Position) (*binlog.Survey, error)
	Verify(ctx context.Context, p checkpoint.Position) error
	Passage(ctx context.Context, from, upto checkpoint.Position, each func(*checkpoint.Transaction) bool) (binlog.Passage, error)
}

// Config says whom to ask.
type Config struct {
	Source, SourceAddress string
	Reader                Reader
	// Conn to the broker; nil with ConnError, and what to do about it.
	Conn                  *nats.Conn
	ConnError             error
	ConnNext              string
	Stream, StreamAddress string
	// Heartbeat of the relays.
	Heartbeat time.Duration
	// Sample is the time between two looks, for the rates. Default 1 s.
	Sample time.Duration
	// MaxLag is the lag from which on it is a problem. 0: never.
	MaxLag time.Duration
	// Timeout bounds each side. Default 10 s.
	Timeout time.Duration
}

// Collect asks both sides at once. The error is only ctx's: what could not be
// found out stands in the report.
func Collect(ctx context.Context, cfg Config) (*Report, error) {
	if cfg.Sample == 0 {
		cfg.Sample = time.Second
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Second
	}
	r := &Report{At: time.Now().UTC(), Problems: []Finding{}, Warnings: []Finding{}, Consumers: []Consumer{},
		Source: Source{Name: cfg.Source, Address: cfg.SourceAddress},
		Stream: Stream{Name: cfg.Stream, Address: cfg.StreamAddress},
		Relay:  Relay{XA: []XA{}, Processes: []presence.Process{}}}
	c := &collector{Config: cfg, report: r}
	limited, cancel := context.WithTimeout(ctx, cfg.Timeout+cfg.Sample)
	defer cancel()
	var processes []presence.Process
	var nobody error
	held, err := c.checkpoint(limited)
	if err != nil {
		r.Relay.Error = err.Error()
	}
	var sides sync.WaitGroup
	sides.Go(func() { c.source(limited, held) })
	sides.Go(func() { c.broker(limited, held) })
	sides.Go(func() { processes, nobody = c.processes(limited) })
	sides.Wait()
	if r.Relay.Processes = append(r.Relay.Processes, processes...); nobody != nil {
		r.Relay.ProcessesError = nobody.Error()
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c.judge()
	return r, nil
}

// collector fills one report. Its two sides write to different parts of it.
type collector struct {
	Config
	report *Report
	js     jetstream.JetStream
	halted *checkpoint.HaltError // why the source can't be read on from the position
}

// checkpoint reads the record; nil where there is none.
func (c *collector) checkpoint(ctx context.Context) (*store.Held, error) {
	if c.Conn == nil {
		return nil, errors.New("the broker can't be asked")
	}
	held, err := c.store().Load(ctx)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c.report.Relay.fill(held, time.Now())
	return &held, nil
}

// processes asks the relays themselves, while the other sides are looked at.
func (c *collector) processes(ctx context.Context) ([]presence.Process, error) {
	if c.Conn == nil {
		return nil, errors.New("the broker can't be asked")
	}
	return presence.Ask(ctx, c.Conn, presence.Subject(c.Stream, c.Source), c.Sample)
}

func (c *collector) store() *store.Store { return store.New(c.Conn, c.Stream, c.Source) }

func (r *Relay) fill(held store.Held, now time.Time) {
	r.Exists, r.Leader, r.Since, r.Epoch, r.Released = true, held.Instance, held.Since, held.Epoch, held.Released
	r.Position, r.Sequence, r.Written, r.Events = held.Where(), held.Seq, held.At, held.Count
	if last := held.Last; last != nil {
		r.LastTransaction, r.LastCommitted = last.GTID.String(), last.Committed
	}
	r.Partial, r.Snapshot = "", nil
	if p := held.Partial; p != nil {
		r.Partial = p.GTID.String()
	}
	if s := held.Snapshot; s != nil {
		r.Snapshot = &Snapshot{Begun: s.Begun, Table: s.Table, Rows: s.Rows, Estimate: s.Estimate, Rescan: s.Rescan != nil}
	}
	r.XA = []XA{}
	for _, x := range held.XA {
		r.XA = append(r.XA, XA{XID: x.XID, GTID: x.GTID.String(), Rows: x.Rows, Since: x.Since, AgeSeconds: now.Sub(x.Since).Seconds()})
	}
	if s := held.Set; s != nil {
		r.Set = &Set{By: s.By, Reason: s.Reason, At: s.At, From: s.From, To: s.To}
	}
}

// pause waits for the second sample.
func (c *collector) pause(ctx context.Context) bool {
	timer := time.NewTimer(c.Sample)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
