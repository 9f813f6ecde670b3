package torture

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// letter is a row, or a part of one, that was put aside.
type letter struct {
	id, reason string
	at         time.Time // by the broker
}

// putAside are the rows that the stream of dead letters holds.
func (w *world) putAside() (list []letter, err error) {
	err = w.read("OUTBOX_DLQ", "dlq.>", func(m jetstream.Msg, meta *jetstream.MsgMetadata) {
		list = append(list, letter{m.Headers().Get("Outbox-Id"), m.Headers().Get("Outbox-Dead-Reason"), meta.Timestamp})
	})
	if errors.Is(err, jetstream.ErrMsgNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, nil
	}
	return list, err
}

// lowered is a time in which max_payload was lower.
type lowered struct{ from, to time.Time }

// late is how long after it a row that was refused in it may reach the stream of dead
// letters, for other faults delay that.
const late = 10 * time.Second

// asideHold: a row is put aside only while the broker does not take it.
func asideHold(letters []letter, low []lowered) error {
	for _, l := range letters {
		if !slices.ContainsFunc(low, func(t lowered) bool { return l.at.After(t.from) && l.at.Before(t.to.Add(late)) }) {
			return fmt.Errorf("I1: %s was put aside at %s, when nothing was wrong with it: %s", l.id, l.at.UTC().Format("15:04:05.000"), l.reason)
		}
	}
	return nil
}

// missing are the rows that were put aside and never published: what a streamer put aside
// before it was killed may be published by the next.
func missing(letters []letter, events []event) map[string]bool {
	gone := map[string]bool{}
	for _, l := range letters {
		gone[l.id] = true
	}
	for _, e := range events {
		delete(gone, e.id)
	}
	return gone
}

// leaveOut takes them out of what has to be in the stream.
func (p *printed) leaveOut(gone map[string]bool) {
	isGone := func(id string) bool { return gone[id] }
	p.committed = slices.DeleteFunc(p.committed, isGone)
	for i := range p.groups {
		p.groups[i].events = slices.DeleteFunc(p.groups[i].events, isGone)
	}
}

func TestAsideHolds(t *testing.T) {
	at := time.Now()
	low := []lowered{{at, at.Add(time.Second)}, {at.Add(time.Hour), at.Add(time.Hour + time.Second)}}
	for after, broken := range map[time.Duration]string{
		-time.Millisecond: "I1: 1.1.1 was put aside at", time.Millisecond: "", 10 * time.Second: "",
		12 * time.Second: "I1: 1.1.1 was put aside at", time.Hour + time.Second: "",
	} {
		wantBroken(t, asideHold([]letter{{id: "1.1.1", at: at.Add(after)}}, low), broken)
	}
	p := &printed{committed: []string{"a", "b", "c"}, groups: []group{{events: []string{"a"}}, {events: []string{"b", "c"}}}}
	p.leaveOut(missing([]letter{{id: "b"}, {id: "c"}}, []event{{id: "c"}}))
	if got := p.groups[1].events; !slices.Equal(p.committed, []string{"a", "c"}) || !slices.Equal(got, []string{"c"}) {
		t.Errorf("what was put aside and never published is %v, and in its group %v", p.committed, got)
	}
}
