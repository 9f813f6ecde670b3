package relay

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/internal/natstest"
)

// linkedSource is one relay's way to a binlog, which can be cut.
type linkedSource struct {
	*fakeSource
	cut atomic.Bool
}

func (l *linkedSource) Lost() (time.Time, error) {
	if l.cut.Load() {
		return time.Now().Add(-time.Hour), errUnreachable
	}
	return time.Time{}, nil
}

func (l *linkedSource) Verify(context.Context, checkpoint.Position) error {
	if l.cut.Load() {
		return errUnreachable
	}
	return nil
}

// TestHandOver: a leader whose source is out of reach, and nobody else's, hands
// over. Where it is out of reach for all, nobody leads and no epoch is spent on
// it; and who reaches it first goes on.
func TestHandOver(t *testing.T) {
	srv := natstest.Start(t)
	src := newFakeSource()
	relayOf := func(name string) (*running, *linkedSource) {
		view := &linkedSource{fakeSource: src}
		return start(t, Config{Source: view, Conn: srv.Connect(t, nats.ReconnectBufSize(-1)), Instance: name}), view
	}
	leads := func(r *running) func() bool { return func() bool { return r.Status().Role == Leader } }
	a, ofA := relayOf("a")
	src.commit(1, nil)
	eventually(t, "a publishes", published(a, 1))
	b, ofB := relayOf("b")
	since := a.Status().Checkpoint.Since

	ofA.cut.Store(true)
	eventually(t, "b leads", leads(b))
	if old, now := a.Status().Checkpoint, b.Status().Checkpoint; now.Epoch == 2 && !now.Since.After(since) || old.Epoch == 1 && !old.Since.Equal(since) {
		t.Errorf("a led since %s, %s; b since %s", since, old.Since, now.Since)
	}
	if role := a.Status().Role; role != Standby {
		t.Errorf("a is %s", role)
	}
	src.commit(2, nil)
	eventually(t, "b publishes", published(b, 3))

	ofB.cut.Store(true)
	for _, r := range []*running{a, b} {
		eventually(t, "no way to take over", func() bool {
			s := r.Status()
			return s.Checkpoint.Released && s.Role == Standby && strings.Contains(s.Trouble, errUnreachable.Error())
		})
	}
	epoch := b.Status().Checkpoint.Epoch
	if epoch != 2 {
		t.Errorf("epoch %d after one take-over", epoch)
	}
	ofA.cut.Store(false)
	eventually(t, "a leads again", leads(a))
	src.commit(3, nil)
	eventually(t, "a publishes again", published(a, 6))
	if now := a.Status().Checkpoint.Epoch; now != epoch+1 {
		t.Errorf("epoch %d, then %d", epoch, now)
	}
	if got := streamed(t, srv.Connect(t)); !slices.Equal(got, src.ids()) {
		t.Errorf("stream holds %v, want %v", got, src.ids())
	}
}
