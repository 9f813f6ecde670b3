package consumer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	memberPrefix = "member."
	// openAtOnce is how many shares are opened at the same time, so that a process
	// that takes over hundreds does not flood the broker.
	openAtOnce = 8
	// leaveTimeout bounds the last word of a member.
	leaveTimeout = 2 * time.Second
)

// group is this process as a member of an ordered consumer: it knows the others
// by their beats, and takes and gives up shares so that each has as many as the
// others. What it decides by its roster may be wrong at any time: only a share's
// record says whose the share is.
type group struct {
	*engine
	lanes  *lanes
	bucket *bucket
	me     string

	again   chan struct{} // has room for one: "plan again"
	beatNow chan struct{} // has room for one: "tell the others"
	fatal   chan error    // has room for one: ends Run
	renewal chan error    // has room for one: the group has to be set up again
	opening chan struct{} // has room for the shares that are opened at once
	running sync.WaitGroup
	beats   func() // ends the beats; nil before the first term
	mute    bool   // the last beat was not stored, and that was said

	mu       sync.Mutex
	record   groupRecord
	roster   *roster
	informed bool // all members that the bucket knows have been heard
	n        uint64
	shares   map[int]*share
	cooling  map[int]bool   // not to be had at the last try; tried again after a beat
	refused  map[int]uint64 // revision of the record at the last try
	sent     time.Time      // when the n-th beat was sent
}

func newGroup(e *engine, l *lanes) *group {
	me := newInstance()
	g := &group{
		engine: e, lanes: l, bucket: e.newBucket(), me: me,
		again: make(chan struct{}, 1), beatNow: make(chan struct{}, 1), fatal: make(chan error, 1), renewal: make(chan error, 1),
		opening: make(chan struct{}, openAtOnce),
		roster:  newRoster(me, e.cfg.Heartbeat), shares: make(map[int]*share), cooling: make(map[int]bool), refused: make(map[int]uint64),
	}
	return g
}

// newInstance names this Run, by a name that fits into a key.
func newInstance() string {
	host, _ := os.Hostname()
	host = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, host)
	return host + "-" + strconv.Itoa(os.Getpid()) + "-" + newNonce()
}

// run is a member until ctx ends. When it returns nothing more is received, while
// handlers may still run.
func (g *group) run(ctx context.Context) error {
	err := g.persist(ctx, g.term)
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range g.shares {
		s.stop(errStopping)
	}
	return err
}

// leave waits until all shares are given up, and says good-bye.
func (g *group) leave() {
	g.running.Wait()
	if g.beats == nil {
		return
	}
	g.beats()
	if !g.js.Conn().IsConnected() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	if err := g.bucket.leave(ctx, memberPrefix+g.me); err != nil {
		g.log.Warn("could not say good-bye to the other members, who wait for a while before they count this one out", slog.Any("error", err))
	}
}

// term is a member's time with one group record: until ctx ends, or the stream
// was made anew, or Run can't go on.
func (g *group) term(ctx context.Context) (opened bool, err error) {
	if err := g.beginTerm(ctx); err != nil {
		return false, err
	}
	if g.beats == nil {
		g.startBeats()
	}
	err = g.watch(ctx)
	if ctx.Err() == nil {
		g.mu.Lock()
		for _, s := range g.shares {
			s.stop(err)
		}
		g.mu.Unlock()
		g.running.Wait()
	}
	return true, err
}

func (g *group) beginTerm(ctx context.Context) error {
	ctx, cancel := g.whileConnected(ctx, 2*setupTimeout)
	defer cancel()
	at, err := g.prepare(ctx)
	if err != nil {
		return err
	}
	return g.setUp(ctx, at)
}

// watch hears the members and plans, until the term is over.
func (g *group) watch(ctx context.Context) error {
	status := g.js.Conn().StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer g.js.Conn().RemoveStatusListener(status)
	for {
		err := g.listen(ctx, status)
		if err == nil || errors.Is(err, nats.ErrConnectionClosed) || !errors.Is(err, errListenAgain) {
			return err
		}
		g.log.Debug("listening to the other members anew", slog.Any("because", err))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(min(g.cfg.Heartbeat, time.Second)):
		}
	}
}

// errListenAgain says that the members may not be heard any more.
var errListenAgain = errors.New("members are not heard")

// listen is watch until the watcher may have missed something.
func (g *group) listen(ctx context.Context, status <-chan nats.Status) error {
	watcher, err := g.bucket.kv.Watch(ctx, g.bucket.prefix+memberPrefix+"*")
	if err != nil {
		return fmt.Errorf("%w: %w", errListenAgain, err)
	}
	defer func() { _ = watcher.Stop() }()
	g.mu.Lock()
	g.informed = false
	g.mu.Unlock()
	silence := time.NewTimer(g.patience())
	defer silence.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-g.fatal:
			return err
		case err := <-g.renewal:
			return err
		case change, ok := <-watcher.Updates():
			if !ok {
				return fmt.Errorf("%w: the watcher was closed", errListenAgain)
			}
			if g.hear(change) {
				silence.Reset(g.patience())
			}
		case s := <-status:
			if s == nats.CLOSED {
				return nats.ErrConnectionClosed
			}
			return fmt.Errorf("%w: the connection was lost meanwhile", errListenAgain)
		case <-silence.C:
			return fmt.Errorf("%w: not even this process's own beats", errListenAgain)
		case <-g.again:
		}
		g.plan(ctx)
	}
}

// patience is how long this process's own beats may stay away.
func (g *group) patience() time.Duration { return max(5*g.cfg.Heartbeat, 3*time.Second) }

// hear takes note of a member's key, and reports whether it was this one's beat.
// The end of what was there at the start is nil.
func (g *group) hear(change jetstream.KeyValueEntry) (mine bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if change == nil {
		g.informed = true
		return false
	}
	instance := path.Ext(change.Key())[1:]
	if change.Operation() != jetstream.KeyValuePut {
		g.roster.left(instance)
		return false
	}
	var b beat
	if err := json.Unmarshal(change.Value(), &b); err != nil || b.V > recordVersion {
		g.log.Warn("a member's beat is not readable", slog.String("member", instance), slog.Any("error", err))
		return false
	}
	if b.Instance != g.me {
		g.roster.heard(b)
		return false
	}
	if g.roster.tick(b.N) {
		clear(g.cooling)
	}
	if b.N == g.n {
		g.lanes.renew(g.sent.Add(silentBeats * g.cfg.Heartbeat))
	}
	return true
}

// plan gives up the shares that others should have, and takes those that this
// member should have and nobody has.
func (g *group) plan(ctx context.Context) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.informed || g.roster.ticked == 0 || ctx.Err() != nil {
		return
	}
	owners, epochs := g.roster.owners(max(g.record.Partitions, 1))
	for number, s := range g.shares {
		if epochs[number] > s.epoch.Load() && s.epoch.Load() > 0 {
			s.lose(fmt.Errorf("%s has it in epoch %d", owners[number], epochs[number]))
		} else if owners[number] == "" || s.epoch.Load() > epochs[number] {
			owners[number] = g.me
		}
	}
	for number, owner := range assign(g.roster.live(), owners) {
		s := g.shares[number]
		switch {
		case s != nil && owner != g.me:
			s.stop(errOver)
		case s == nil && owner == g.me && owners[number] == "" && !g.cooling[number]:
			g.start(ctx, number)
		}
	}
}

// start is called with mu held.
func (g *group) start(ctx context.Context, number int) {
	s := g.newShare(ctx, number)
	g.shares[number] = s
	g.running.Go(func() {
		s.run()
		g.mu.Lock()
		delete(g.shares, number)
		g.cooling[number] = true
		g.mu.Unlock()
		g.shareChanged()
	})
}

// turn waits until a share may be opened. What it returns says that it is.
func (g *group) turn(ctx context.Context) (leave func(), err error) {
	select {
	case g.opening <- struct{}{}:
		return func() { <-g.opening }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// holds reports whether the owner that a share's record names has to be believed:
// it is heard, and says that it has the share, or may not have come to say so.
func (g *group) holds(owner string, number int, revision uint64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.roster.alive(owner) {
		return false
	}
	if g.roster.claims(owner, number) || g.refused[number] != revision {
		g.refused[number] = revision
		return true
	}
	return false // it took the share and does not know, since the answer was lost
}

// shareChanged tells the others, and plans again.
func (g *group) shareChanged() {
	signal(g.beatNow)
	signal(g.again)
}

// fail ends Run.
func (g *group) fail(err error) {
	select {
	case g.fatal <- err:
	default:
	}
}

// renew has the group set up again.
func (g *group) renew(err error) {
	select {
	case g.renewal <- err:
	default:
	}
}

// startBeats tells the others again and again that this member lives.
func (g *group) startBeats() {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(g.cfg.Heartbeat)
		defer tick.Stop()
		for {
			g.mu.Lock()
			g.n++
			g.sent = time.Now()
			g.mu.Unlock()
			g.beat()
			for waiting := true; waiting; {
				select {
				case <-done:
					return
				case <-tick.C:
					waiting = false
				case <-g.beatNow:
					g.beat()
				}
			}
		}
	})
	g.beats = func() { close(done); wg.Wait() }
}

// beat writes this member's key once.
func (g *group) beat() {
	if !g.js.Conn().IsConnected() {
		return // what is sent later says nothing about now
	}
	host, _ := os.Hostname()
	b := beat{V: recordVersion, Instance: g.me, Every: g.cfg.Heartbeat, Host: host, PID: os.Getpid(), At: time.Now().UTC()}
	g.mu.Lock()
	b.N = g.n
	b.Shares = make(map[int]uint64, len(g.shares))
	for number, s := range g.shares {
		if epoch := s.epoch.Load(); epoch > 0 {
			b.Shares[number] = epoch
		}
	}
	g.mu.Unlock()
	ctx, cancel := g.whileConnected(context.Background(), max(g.cfg.Heartbeat, time.Second))
	defer cancel()
	err := g.bucket.beat(ctx, memberPrefix+g.me, b)
	if err != nil && !g.mute {
		g.log.Warn("could not tell the other members that this one lives; trying again, without a word", slog.Any("error", err))
	}
	g.mute = err != nil
}
