package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/internal/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a stream with events and a checkpoint, rows, and a source that ends
// somewhere.
type world struct {
	t   *testing.T
	nc  *nats.Conn
	js  jetstream.JetStream
	now time.Time

	list    []Row
	end     uint64 // of the source
	waiting []string
	unread  error
}

func newWorld(t *testing.T, change ...func(*jetstream.StreamConfig)) *world {
	t.Helper()
	w := &world{t: t, nc: natstest.Start(t).Connect(t), now: time.Now().UTC().Truncate(time.Microsecond)}
	var err error
	w.js, err = jetstream.New(w.nc)
	w.must(err)
	cfg := jetstream.StreamConfig{Name: "OUTBOX", Subjects: []string{"outbox.>", "binjet.checkpoint.*"}, AllowRollup: true}
	for _, f := range change {
		f(&cfg)
	}
	_, err = w.js.CreateStream(t.Context(), cfg)
	w.must(err)
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// created is when row n was.
func (w *world) created(n int) time.Time { return w.now.Add(time.Duration(n-100) * time.Second) }

func (w *world) row(ns ...int) {
	for _, n := range ns {
		w.list = append(w.list, Row{ID: fmt.Sprintf("m%02d", n), Created: w.created(n)})
	}
}

// publish stores events, each of a transaction of its own number.
func (w *world) publish(ns ...int) {
	w.t.Helper()
	for _, n := range ns {
		m := nats.NewMsg("outbox.orders")
		m.Header = nats.Header{binjet.HeaderID: {fmt.Sprintf("m%02d", n)}, binjet.HeaderSource: {"shop"}, binjet.HeaderTx: {fmt.Sprintf("0-1-%d", n)},
			binjet.HeaderTxIndex: {"1/1"}, binjet.HeaderCreatedAt: {w.created(n).Format(binjet.CreatedAtLayout)}}
		_, err := w.js.PublishMsg(w.t.Context(), m)
		w.must(err)
	}
}

func at(n uint64) checkpoint.Position {
	var p checkpoint.Position
	p.Resume.Add(checkpoint.GTID{Flavor: checkpoint.MariaDB, Server: 1, N: n})
	return p
}

// reach writes the checkpoint of the source.
func (w *world) reach(n uint64) {
	w.t.Helper()
	data, err := checkpoint.Checkpoint{Source: "shop", Nonce: "n", Epoch: 1, Position: at(n)}.Encode()
	w.must(err)
	_, err = w.js.Publish(w.t.Context(), binjet.CheckpointSubject("shop"), data)
	w.must(err)
	w.end = max(w.end, n)
}

func (w *world) Survey(context.Context, *checkpoint.Position) (*binlog.Survey, error) {
	return &binlog.Survey{Now: w.now, End: at(w.end)}, nil
}

func (w *world) Passage(_ context.Context, _, _ checkpoint.Position, each func(*checkpoint.Transaction) bool) (binlog.Passage, error) {
	for _, id := range w.waiting {
		each(&checkpoint.Transaction{Messages: []binjet.Message{{ID: id}}})
	}
	return binlog.Passage{}, w.unread
}

func (w *world) Name() string { return "outbox" }

func (w *world) Page(_ context.Context, after string, since, until time.Time, n int) (page []Row, _ error) {
	slices.SortFunc(w.list, func(a, b Row) int { return strings.Compare(a.ID, b.ID) })
	for _, r := range w.list {
		if r.ID > after && !r.Created.Before(since) && r.Created.Before(until) && len(page) < n {
			page = append(page, r)
		}
	}
	return page, nil
}

func (w *world) Rows(_ context.Context, ids []string) (found []Row, _ error) {
	for _, r := range w.list {
		if slices.Contains(ids, r.ID) {
			found = append(found, r)
		}
	}
	return found, nil
}

func (w *world) run(change ...func(*Config)) *Report {
	w.t.Helper()
	cfg := Config{Source: "shop", Stream: "OUTBOX", SubjectPrefix: "outbox", Conn: w.nc, Reader: w, Tables: []Table{w}, Dated: true}
	for _, f := range change {
		f(&cfg)
	}
	r, err := Run(w.t.Context(), cfg)
	w.must(err)
	return r
}

// wants compares the findings as "kind id#sequence".
func (w *world) wants(r *Report, want ...string) {
	w.t.Helper()
	var got []string
	for _, f := range r.Findings {
		text := string(f.Kind) + " " + f.ID
		if f.Sequence > 0 {
			text += fmt.Sprintf("#%d", f.Sequence)
		}
		got = append(got, text)
	}
	if !slices.Equal(got, want) || r.OK != (len(want) == 0) {
		w.t.Errorf("got %q, want %q", got, want)
	}
	var b strings.Builder
	w.must(r.Text(&b))
	if strings.Contains(b.String(), "NOT OK") == r.OK {
		w.t.Error(b.String())
	}
}

func TestSame(t *testing.T) {
	w := newWorld(t)
	w.row(1, 2, 3)
	w.publish(1, 2, 3)
	w.reach(3)
	r := w.run()
	w.wants(r)
	if r.Rows != 3 || r.Events != 3 || r.UpTo != 4 {
		t.Errorf("%+v", r)
	}
}

// Each kind of damage, in one pass and in many.
func TestDamage(t *testing.T) {
	for _, window := range []int{0, 1, 2} {
		t.Run(fmt.Sprint(window), func(t *testing.T) {
			w := newWorld(t)
			w.row(1, 2, 3, 4, 5, 7)
			w.publish(1, 3, 4, 3) // 2 is missing, 3 is repeated and so out of order
			_, err := w.js.Publish(t.Context(), "outbox.orders", []byte("x"))
			w.must(err)
			w.publish(7, 6, 5) // 6 has no row; 7, 6 and 5 are swapped
			w.reach(7)
			var said []string
			r := w.run(func(c *Config) {
				c.Window = window
				c.Progress = func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }
			})
			if all := strings.Join(said, "; "); !strings.Contains(all, "1 rows had no event") || strings.Contains(all, "pass 2 of ") != (window > 0) {
				t.Errorf("its progress: %s", all)
			}
			want := map[Kind]uint64{Missing: 1, Extra: 1, Repeated: 1, Foreign: 1, Disorder: 3}
			for kind, n := range want {
				if r.Found[kind] != n {
					t.Errorf("%d %s, want %d: %+v", r.Found[kind], kind, n, r.Findings)
				}
			}
			if r.OK || r.Rows != 6 || r.Events != 6 {
				t.Errorf("%+v", r)
			}
			if window == 0 {
				w.wants(r, "disorder m03#4", "repeated m03#4", "foreign #5", "disorder m06#7", "disorder m05#8", "extra m06#7", "missing m02")
			}
		})
	}
}

func TestRange(t *testing.T) {
	w := newWorld(t)
	w.row(1, 2, 3)
	w.publish(2, 3)
	w.reach(3)
	w.wants(w.run(func(c *Config) { c.Since = w.created(2) }))
	w.wants(w.run(func(c *Config) { c.Until = w.created(2) }), "missing m01")
}

// What is not published yet is not missing, as the binlog says, or the stream a
// moment later.
func TestWaiting(t *testing.T) {
	w := newWorld(t)
	w.row(1, 2, 3)
	w.publish(1)
	w.reach(1)
	w.end, w.waiting = 3, []string{"m02"}
	r := w.run()
	w.wants(r, "missing m03")
	if r.Waiting != 1 {
		t.Errorf("%+v", r)
	}
	w.unread = errors.New("purged")
	if r := w.run(); r.Unread == "" {
		t.Errorf("%+v", r)
	}
	w.unread = nil
	published := false
	r = w.run(func(c *Config) {
		c.Wait = 20 * time.Second
		c.Progress = func(format string, _ ...any) {
			if strings.HasPrefix(format, "waiting") && !published {
				published = true
				w.publish(2, 3)
				w.reach(3)
			}
		}
	})
	w.wants(r)
}

// What nobody can know is no finding.
func TestUnknown(t *testing.T) {
	w := newWorld(t, func(c *jetstream.StreamConfig) { c.MaxMsgs = 1000 })
	w.row(5)
	w.list = append(w.list, Row{ID: "expired", Created: w.created(6), Expires: w.now.Add(-time.Second)}, Row{ID: "let-go", Created: w.created(7)})
	w.publish(1, 5)
	w.reach(7)
	r := w.run()
	w.wants(r)
	if r.Pruned != 1 || r.Expired != 1 || r.LetGo != 1 {
		t.Errorf("%+v", r)
	}
	w.list = slices.DeleteFunc(w.list, func(r Row) bool { return r.ID != "m05" })
	w.publish(8)
	w.reach(8)
	w.wants(w.run(), "extra m08#4")
	w.wants(w.run(func(c *Config) { c.RowsDeleted = true }))
}

func TestQuarantined(t *testing.T) {
	w := newWorld(t)
	_, err := w.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "OUTBOX_DLQ", Subjects: []string{"dlq.OUTBOX.>"}})
	w.must(err)
	m := nats.NewMsg("dlq.OUTBOX.shop._invalid")
	m.Header.Set(binjet.HeaderID, "m01")
	_, err = w.js.PublishMsg(t.Context(), m)
	w.must(err)
	w.row(1)
	w.reach(1)
	if r := w.run(); r.Quarantined != 1 {
		t.Errorf("%+v", r)
	}
}

func TestNoCheckpoint(t *testing.T) {
	w := newWorld(t)
	_, err := Run(t.Context(), Config{Source: "shop", Stream: "OUTBOX", SubjectPrefix: "outbox", Conn: w.nc, Reader: w})
	if err == nil || !strings.Contains(err.Error(), "no checkpoint of source shop") {
		t.Error(err)
	}
}

func TestOrder(t *testing.T) {
	u, v := "3e11fa47-71ca-11e1-9e33-c80aa9429562:", "4e11fa47-71ca-11e1-9e33-c80aa9429562:"
	for name, test := range map[string]struct {
		events []string // tx and index
		bad    int      // the one that is out of order, 0 for none
	}{
		"in order":             {[]string{u + "1 1/2", u + "1 2/2", u + "3 1/1"}, 0},
		"two servers":          {[]string{u + "5 1/1", v + "1 1/1", u + "6 1/1"}, 0},
		"a tag":                {[]string{u + "5 1/1", u + "x:1 1/1"}, 0},
		"a large one":          {[]string{u + "5 999/", u + "5 1000/"}, 0},
		"swapped in one":       {[]string{u + "5 2/2", u + "5 1/2"}, 2},
		"swapped":              {[]string{u + "6 1/1", u + "5 1/1"}, 2},
		"the same again":       {[]string{u + "6 1/1", u + "6 1/1"}, 2},
		"MariaDB's fail-over":  {[]string{"0-1-5 1/1", "0-2-6 1/1", "1-1-1 1/1"}, 0},
		"MariaDB swapped":      {[]string{"0-1-6 1/1", "0-2-5 1/1"}, 2},
		"files":                {[]string{"b.000001:900 1/1", "b.000002:4 1/1"}, 0},
		"files swapped":        {[]string{"b.000002:4 1/1", "b.000001:900 1/1"}, 2},
		"of a file swapped":    {[]string{"b.000002:900 1/1", "b.000002:400 1/1"}, 2},
		"rows of a snapshot":   {[]string{u + "6 1/1", " ", u + "7 1/1"}, 0},
		"behind what was late": {[]string{u + "6 1/1", u + "5 1/1", u + "7 1/1"}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOrder()
			for i, text := range test.events {
				tx, index, _ := strings.Cut(text, " ")
				if why := o.next(event{seq: uint64(i), tx: tx, index: index}); (why != "") != (i+1 == test.bad) {
					t.Errorf("%s: %q", text, why)
				}
			}
		})
	}
}
