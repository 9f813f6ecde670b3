package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/checkpoint/store"
	"github.com/binjet/binjet/internal/natstest"
)

// gapSource is a source whose log was purged: it yields its rows as a snapshot
// behind the gap, in pages, and follows on.
type gapSource struct {
	*fakeSource
	rows  []binjet.Message // sorted by ID
	stop  int              // fail behind that many pages; 0 for never
	lost  checkpoint.GTIDSet
	upto  checkpoint.GTIDSet
	again bool // yield something first, and then ask for another start
}

const gapPage = 3

var errCut = errors.New("cut")

func (g *gapSource) Stream(ctx context.Context, p checkpoint.Position, yield func(*checkpoint.Transaction) error) error {
	progress := checkpoint.Snapshot{Begun: true, Table: "shop.outbox", Rescan: &checkpoint.Rescan{Lost: g.lost, Read: time.Now()}}
	switch {
	case p.Snapshot != nil:
		progress = *p.Snapshot
	case p.Resume.ContainsSet(g.upto):
		return g.fakeSource.Stream(ctx, p, yield)
	case g.again:
		g.again = false
		if err := yield(g.txs[len(g.txs)-1]); err != nil {
			return err
		}
		return checkpoint.ErrRestart
	}
	page := func(rows []binjet.Message, end bool) error {
		if len(rows) > 0 {
			progress.After = rows[len(rows)-1].ID
		}
		now := progress
		return yield(&checkpoint.Transaction{Messages: slices.Clone(rows), Snapshot: &now, At: g.upto.Clone(), End: end})
	}
	pages := 0
	for rows := range slices.Chunk(g.rows, gapPage) {
		if rows[len(rows)-1].ID <= progress.After {
			continue
		}
		if pages++; g.stop > 0 && pages > g.stop {
			return errCut
		}
		if err := page(rows, false); err != nil {
			return err
		}
	}
	if err := page(nil, true); err != nil {
		return err
	}
	p.Snapshot, p.Resume = nil, g.upto.Clone()
	return g.fakeSource.Stream(ctx, p, yield)
}

// newGap is a relay's world in which 20 events are published and then the log of 20 more is lost.
func newGap(t *testing.T, srv *natstest.Server) *gapSource {
	t.Helper()
	src := newFakeSource()
	for range 20 {
		src.commit(1, []byte("p"))
	}
	r := start(t, Config{Source: src, Conn: srv.Connect(t)})
	eventually(t, "the first events", published(r, 20))
	r.halt(t)
	g := &gapSource{fakeSource: src}
	for range 20 {
		g.lost.Add(src.commit(1, []byte("p")).GTID)
	}
	for _, tx := range src.txs {
		g.upto.Add(tx.GTID)
		g.rows = append(g.rows, tx.Messages...)
	}
	slices.SortFunc(g.rows, func(a, b binjet.Message) int { return strings.Compare(a.ID, b.ID) })
	return g
}

// each wants every event of g in the stream once, the published ones in front.
func (g *gapSource) each(t *testing.T, got []string) {
	t.Helper()
	want := g.ids()
	if !slices.Equal(got[:20], want[:20]) {
		t.Fatalf("what was published before is %v", got[:20])
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("stream holds %v, want %v", got, want)
	}
}

func TestRescanPublishesWhatIsMissing(t *testing.T) {
	srv := natstest.Start(t)
	g := newGap(t, srv)
	r := start(t, Config{Source: g, Conn: srv.Connect(t)})
	eventually(t, "the missing events", published(r, 40))
	g.commit(1, []byte("p"))
	eventually(t, "the next event", published(r, 41))
	if r.Status().Checkpoint.Snapshot != nil {
		t.Error("the rescan is not over")
	}
	g.each(t, streamed(t, srv.Connect(t)))
}

// TestRescanIsCut: whoever takes over goes on with the rescan and repeats nothing.
func TestRescanIsCut(t *testing.T) {
	srv := natstest.Start(t)
	g := newGap(t, srv)
	for g.stop = 1; ; g.stop++ {
		r := start(t, Config{Source: g, Conn: srv.Connect(t), BatchMessages: 2})
		eventually(t, "the end of it", func() bool {
			select {
			case <-r.done:
				return true
			default:
				return r.Status().Checkpoint.Count == 40 && r.Status().Checkpoint.Snapshot == nil
			}
		})
		ended := r.Status().Checkpoint.Count == 40
		r.halt(t)
		if ended {
			break
		}
		if !errors.Is(r.err, errCut) {
			t.Fatal(r.err)
		}
	}
	if g.stop < 3 {
		t.Fatalf("it was cut only %d times", g.stop)
	}
	g.each(t, streamed(t, srv.Connect(t)))
}

// TestRescanWaitsForWhatIsOnItsWay: the source fell behind while it was read. What
// it had yielded is stored before anybody looks what is missing.
func TestRescanWaitsForWhatIsOnItsWay(t *testing.T) {
	srv := natstest.Start(t)
	g := newGap(t, srv)
	g.again = true
	r := start(t, Config{Source: g, Conn: srv.Connect(t)})
	eventually(t, "the missing events", published(r, 40))
	got := streamed(t, srv.Connect(t))
	if got[20] != "40.1" {
		t.Errorf("the event that was yielded first is not: %v", got)
	}
	g.each(t, got)
}

// TestRescanDecides: the rules, one by one.
func TestRescanDecides(t *testing.T) {
	oldest := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	read := oldest.Add(3 * day)
	tests := []struct {
		name    string
		message binjet.Message
		present bool
		kept    uint64 // of 10
		none    bool   // the stream keeps nothing of ours
		before  time.Time
		want    string // publish, leave or halt
	}{
		{name: "it is there", present: true, kept: 10, want: "leave"},
		{name: "nothing was let go", message: binjet.Message{CreatedAt: oldest.Add(-day)}, kept: 10, want: "publish"},
		{name: "younger than what is kept", message: binjet.Message{CreatedAt: read.Add(day)}, kept: 9, want: "publish"},
		{name: "of the day before the gap", message: binjet.Message{CreatedAt: read.Add(-time.Hour)}, kept: 9, want: "publish"},
		{name: "long before the gap", message: binjet.Message{CreatedAt: oldest.Add(-day)}, kept: 9, want: "leave"},
		{name: "long before the gap, though younger than what is kept", message: binjet.Message{CreatedAt: oldest.Add(day)}, kept: 9, want: "leave"},
		{name: "nothing is kept, shortly before the gap", message: binjet.Message{CreatedAt: read.Add(-time.Hour)}, none: true, want: "halt"},
		{name: "nothing is kept, after the gap began", message: binjet.Message{CreatedAt: read.Add(time.Hour)}, none: true, want: "halt"},
		{name: "nothing is kept, after the last checkpoint", message: binjet.Message{CreatedAt: read.Add(2*time.Hour + 2*clockSkew)}, none: true, want: "publish"},
		{name: "nothing is kept, at the last checkpoint", message: binjet.Message{CreatedAt: read.Add(2 * time.Hour)}, none: true, want: "halt"},
		{name: "nothing is kept, long before the gap", message: binjet.Message{CreatedAt: read.Add(-2 * day)}, none: true, want: "leave"},
		{name: "an operator knows", message: binjet.Message{CreatedAt: read.Add(-time.Hour)}, none: true, before: read, want: "leave"},
		{name: "an operator knows of others", message: binjet.Message{CreatedAt: read.Add(time.Hour)}, none: true, before: read, want: "halt"},
		{name: "no age", kept: 9, want: "halt"},
		{name: "no age, nothing was let go", kept: 10, want: "publish"},
		{name: "expired", message: binjet.Message{CreatedAt: oldest, ExpireAfter: time.Hour}, none: true, want: "leave"},
		{name: "not expired, shortly before the gap", message: binjet.Message{CreatedAt: read.Add(-time.Hour), ExpireAfter: 100 * 365 * day}, none: true, want: "halt"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := rescan{before: tt.before, stopped: read.Add(2 * time.Hour), stream: "OUTBOX", source: "shop", held: store.Held{Checkpoint: checkpoint.Checkpoint{Count: 10}}}
			s.window = window{kept: tt.kept, oldest: oldest}
			if tt.none {
				s.window.oldest = time.Time{}
			}
			publish, err := s.decide(&tt.message, tt.present, &checkpoint.Snapshot{Table: "shop.outbox", Rescan: &checkpoint.Rescan{Read: read}})
			got := map[bool]string{true: "publish", false: "leave"}[publish]
			var halt *checkpoint.HaltError
			if errors.As(err, &halt) {
				got = "halt"
			}
			if got != tt.want {
				t.Errorf("%s, want %s (%v)", got, tt.want, err)
			}
		})
	}
}

// TestRescanOfAStreamThatLetGo halts where nobody can tell, with a way on.
func TestRescanOfAStreamThatLetGo(t *testing.T) {
	srv := natstest.Start(t)
	g := newGap(t, srv)
	for i := range g.rows {
		g.rows[i].CreatedAt = time.Now().Add(-time.Hour)
	}
	nc := srv.Connect(t)
	js, err := jetstream.New(nc)
	must(t, err)
	stream, err := js.Stream(t.Context(), "OUTBOX")
	must(t, err)
	must(t, stream.Purge(t.Context(), jetstream.WithPurgeSequence(4)))
	r := start(t, Config{Source: g, Conn: nc})
	<-r.done
	var halt *checkpoint.HaltError
	if !errors.As(r.err, &halt) || !strings.Contains(halt.Error(), "has let go") || !strings.Contains(halt.Hint, "--published-before") {
		t.Fatal(r.err)
	}
	known := start(t, Config{Source: g, Conn: nc, PublishedBefore: time.Now()})
	eventually(t, "the end of the rescan", func() bool {
		s := known.Status()
		return s.Role == Leader && s.Checkpoint.Resume.ContainsSet(g.upto) && s.Checkpoint.Snapshot == nil
	})
	if n := known.Status().Checkpoint.Count; n != 20 {
		t.Errorf("%d events are published, want no more than the 20 of before", n)
	}
}

// TestRescanWindows: however few IDs are held at a time, what the stream holds is
// told exactly, also of IDs that come in another order than their bytes have.
func TestRescanWindows(t *testing.T) {
	srv := natstest.Start(t)
	nc := srv.Connect(t)
	src := newFakeSource()
	for range 200 {
		src.commit(1, []byte("p"))
	}
	r := start(t, Config{Source: src, Conn: nc})
	eventually(t, "the events", published(r, 200))
	r.halt(t)
	h, err := r.store.Load(t.Context())
	must(t, err)
	rng := rand.New(rand.NewPCG(1, 2))
	for _, limit := range []int{1, 3, 7, 1000} {
		s := r.newRescan(h)
		s.limit, s.log = limit, slog.New(slog.DiscardHandler)
		for range 5 {
			var page []binjet.Message
			for range 10 {
				page = append(page, binjet.Message{ID: fmt.Sprintf("%d.1", 1+rng.IntN(400))})
			}
			got, err := s.present(t.Context(), page)
			must(t, err)
			for _, m := range page {
				if want := slices.Contains(src.ids(), m.ID); got[m.ID] != want {
					t.Fatalf("limit %d: %s present %v, want %v", limit, m.ID, got[m.ID], want)
				}
			}
		}
		if s.window.kept != 200 || s.window.strays != 0 {
			t.Errorf("limit %d: counted %d events and %d strays", limit, s.window.kept, s.window.strays)
		}
	}
}
