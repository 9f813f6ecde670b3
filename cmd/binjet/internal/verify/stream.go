package verify

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
)

// event is what is needed of one.
type event struct {
	seq     uint64
	id      string // "" for what is none
	subject string
	tx      string
	index   string
	created time.Time
}

// startOf is where the events of the range can begin.
func (v *verification) startOf() jetstream.OrderedConsumerConfig {
	cfg := jetstream.OrderedConsumerConfig{HeadersOnly: true, DeliverPolicy: jetstream.DeliverAllPolicy}
	if !v.report.Since.IsZero() && v.Dated {
		from := v.report.Since.Add(-skew)
		cfg.DeliverPolicy, cfg.OptStartTime = jetstream.DeliverByStartTimePolicy, &from
	}
	return cfg
}

// readStream hands on the events of the source up to a sequence, and what lies on
// their subjects and is none. It has read all when that sequence comes, or one
// behind it: a replica that lags ends earlier, and is waited for.
func (v *verification) readStream(ctx context.Context, from jetstream.OrderedConsumerConfig, upto uint64, each func(event)) error {
	fail := func(err error) error { return fmt.Errorf("read stream %s: %w", v.Stream, err) }
	c, err := v.js.OrderedConsumer(ctx, v.Stream, from)
	if err != nil {
		return fail(err)
	}
	messages, err := c.Messages()
	if err != nil {
		return fail(err)
	}
	defer messages.Stop()
	for {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return fail(err)
		}
		meta, err := msg.Metadata()
		if err != nil {
			return fail(err)
		}
		at := meta.Sequence.Stream
		if at <= upto && strings.HasPrefix(msg.Subject(), v.SubjectPrefix+".") {
			if m, ok := v.eventOf(at, msg); ok {
				each(m)
			}
		}
		if at >= upto {
			return nil
		}
		v.tell("stream: sequence %d of %d", at, upto)
	}
}

// eventOf is false for an event of another source.
func (v *verification) eventOf(at uint64, msg jetstream.Msg) (event, bool) {
	h := msg.Headers()
	m := event{seq: at, subject: strings.Clone(msg.Subject())}
	switch source := h.Get(binjet.HeaderSource); {
	case source == v.Source:
	case source == "" || h.Get(binjet.HeaderID) == "":
		return m, true // none
	default:
		return m, false
	}
	m.id, m.tx, m.index = strings.Clone(h.Get(binjet.HeaderID)), h.Get(binjet.HeaderTx), h.Get(binjet.HeaderTxIndex)
	m.created, _ = time.Parse(time.RFC3339Nano, h.Get(binjet.HeaderCreatedAt))
	return m, true
}
