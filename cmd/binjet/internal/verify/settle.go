package verify

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/checkpoint/store"
	"github.com/binjet/binjet/consumer"
)

// settleExtra decides about the events without a row.
func (v *verification) settleExtra(ctx context.Context, events map[string]entry) error {
	var young []string
	for id, e := range events {
		switch {
		case e.matched:
		case v.RowsDeleted, v.oldest.IsZero(), e.created.IsZero(), e.created.Before(v.oldest):
			v.report.Pruned++
		default:
			young = append(young, id)
		}
	}
	slices.Sort(young)
	return v.again(ctx, young, func(id string, row *Row, _ string) {
		if row == nil { // it is not only that the table was read too early
			v.report.add(Finding{Kind: Extra, ID: id, Sequence: events[id].seq, Created: events[id].created, Detail: "no row has this ID"})
		}
	})
}

// again looks the IDs up in the tables.
func (v *verification) again(ctx context.Context, ids []string, each func(id string, row *Row, table string)) error {
	for part := range slices.Chunk(ids, 500) {
		found, where := make(map[string]*Row), make(map[string]string)
		for _, t := range v.Tables {
			rows, err := t.Rows(ctx, part)
			if err != nil {
				return fmt.Errorf("look rows of table %s up: %w", t.Name(), err)
			}
			for i := range rows {
				found[rows[i].ID], where[rows[i].ID] = &rows[i], t.Name()
			}
		}
		for _, id := range part {
			each(id, found[id], where[id])
		}
	}
	return nil
}

// settleAbsent decides about the rows without an event: first whether that is still
// so, and then whether it says anything.
func (v *verification) settleAbsent(ctx context.Context, held store.Held) error {
	if len(v.absent) == 0 {
		return nil
	}
	v.Progress("%d rows had no event: looking again", len(v.absent))
	later, end, err := v.caughtUp(ctx)
	if err != nil {
		return err
	}
	if later.Seq > held.Seq {
		from := jetstream.OrderedConsumerConfig{HeadersOnly: true, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: held.Seq + 1}
		if err := v.readStream(ctx, from, later.Seq, func(m event) { delete(v.absent, m.id) }); err != nil {
			return err
		}
	}
	if err := v.takeWaiting(ctx, later, end); err != nil {
		return err
	}
	if err := v.takeQuarantined(ctx); err != nil {
		return err
	}
	limits := v.state.Config
	limited := limits.MaxAge > 0 || limits.MaxBytes > 0 || limits.MaxMsgs > 0
	kept := v.state.State.FirstTime.Add(skew)
	return v.again(ctx, slices.Sorted(maps.Keys(v.absent)), func(id string, row *Row, table string) {
		switch gone := v.absent[id]; {
		case row == nil:
			v.report.Deleted++
		case !row.Expires.IsZero() && row.Expires.Before(time.Now()):
			v.report.Expired++
		case limited && (gone.created.IsZero() || gone.created.Before(kept)):
			v.report.LetGo++
		default:
			v.report.add(Finding{Kind: Missing, ID: id, Table: table, Created: gone.created, Detail: "the stream has no such event"})
		}
	})
}

// takeWaiting takes out what the relay has still to publish, as the binlog says.
func (v *verification) takeWaiting(ctx context.Context, held store.Held, end checkpoint.Position) error {
	if len(v.absent) == 0 || past(held.Position, end) {
		return nil
	}
	_, err := v.Reader.Passage(ctx, held.Position, end, func(tx *checkpoint.Transaction) bool {
		for i := range tx.Messages {
			if _, ok := v.absent[tx.Messages[i].ID]; ok {
				delete(v.absent, tx.Messages[i].ID)
				v.report.Waiting++
			}
		}
		return len(v.absent) == 0
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		v.report.Unread = err.Error()
	}
	return nil
}

// takeQuarantined takes out what the relay could not publish and put aside.
func (v *verification) takeQuarantined(ctx context.Context) error {
	if len(v.absent) == 0 {
		return nil
	}
	letters, err := consumer.OpenDeadLetters(ctx, v.js, v.Stream)
	if err != nil {
		return nil // there is no such stream: nothing was put aside
	}
	for letter, err := range letters.List(ctx, consumer.Filter{By: v.Source}) {
		if err != nil {
			return err
		}
		if _, ok := v.absent[letter.Message.ID]; ok && letter.Quarantined {
			delete(v.absent, letter.Message.ID)
			v.report.Quarantined++
		}
	}
	return nil
}

var _ Reader = (*binlog.Reader)(nil)
