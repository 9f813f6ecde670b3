package status

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/checkpoint/store"
	"github.com/binjet/binjet/internal/deadletter"
)

// broker asks NATS: the stream, its consumers, the copies, the dead letters, and
// the checkpoint once more for the rate.
func (c *collector) broker(ctx context.Context, held *store.Held) {
	s := &c.report.Stream
	if c.Conn == nil {
		s.Error = c.ConnError.Error()
		return
	}
	began := time.Now()
	s.Version = c.Conn.ConnectedServerVersion()
	js, err := jetstream.New(c.Conn)
	if err != nil {
		s.Error = err.Error()
		return
	}
	c.js = js
	stream, err := js.Stream(ctx, c.Stream)
	s.Missing = errors.Is(err, jetstream.ErrStreamNotFound)
	if err != nil {
		s.Error = err.Error()
		return
	}
	s.fill(stream.CachedInfo())
	if found, err := Consumers(ctx, js, stream); err != nil {
		s.Error = err.Error()
	} else {
		c.report.Consumers = append(c.report.Consumers, found...)
	}
	c.deadLetters(ctx)
	if held == nil {
		return
	}
	c.copies(ctx)
	if c.pause(ctx) {
		c.second(ctx, *held, began)
	}
}

// second reads the checkpoint again: what moved is alive.
func (c *collector) second(ctx context.Context, first store.Held, began time.Time) {
	again, err := c.store().Load(ctx)
	if err != nil {
		c.report.Relay.Error = err.Error()
		return
	}
	r := &c.report.Relay
	r.fill(again, time.Now())
	rate := max(0, float64(again.Count)-float64(first.Count)) / time.Since(began).Seconds()
	r.EventsPerSecond = &rate
	moved := again.Seq != first.Seq || again.Nonce != first.Nonce
	r.Alive = !again.Released && (moved || time.Since(again.At) < 4*c.Heartbeat)
}

func (s *Stream) fill(info *jetstream.StreamInfo) {
	state, cfg := info.State, info.Config
	s.Messages, s.Bytes, s.FirstSequence, s.LastSequence = state.Msgs, state.Bytes, state.FirstSeq, state.LastSeq
	if state.Msgs > 0 {
		s.FirstTime, s.LastTime = state.FirstTime, state.LastTime
	}
	s.Replicas, s.Partitions = cfg.Replicas, cfg.Metadata[binjet.MetadataPartitions]
	s.MaxBytes, s.MaxMessages, s.MaxAgeSeconds = max(cfg.MaxBytes, 0), max(cfg.MaxMsgs, 0), cfg.MaxAge.Seconds()
	if info.Cluster == nil {
		return
	}
	s.Leader = info.Cluster.Leader
	for _, peer := range info.Cluster.Replicas {
		if !peer.Current || peer.Offline {
			s.Lagging = append(s.Lagging, peer.Name)
		}
	}
}

func (c *collector) copies(ctx context.Context) {
	copies := &Copies{}
	c.report.Relay.Copies = copies
	bucket, err := store.OpenCopies(ctx, c.js, c.Source)
	if err != nil {
		copies.Error = err.Error()
		return
	}
	list, err := bucket.List(ctx)
	if err != nil {
		copies.Error = err.Error()
		return
	}
	copies.Kept = len(list)
	for _, one := range list {
		if one.Stream == c.Stream {
			copies.Newest, copies.AgeSeconds = one.Seq, time.Since(one.Checkpoint.At).Seconds()
		}
	}
}

// deadLetters counts them by who wrote them, without reading any.
func (c *collector) deadLetters(ctx context.Context) {
	d := &c.report.DeadLetters
	d.Stream, d.By = deadletter.Stream(c.Stream), make(map[string]uint64)
	stream, err := c.js.Stream(ctx, d.Stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return
	}
	if err != nil {
		d.Error = err.Error()
		return
	}
	d.Exists = true
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter("dlq."+c.Stream+".>"))
	if err != nil {
		d.Error = err.Error()
		return
	}
	for subject, n := range info.State.Subjects {
		if deadletter.IsReplay(c.Stream, subject) {
			d.Replays += n
			continue
		}
		by, _ := deadletter.Parts(c.Stream, subject)
		d.By[by] += n
		d.Count += n
	}
}
