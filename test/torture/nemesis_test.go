package torture

import (
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"
)

// fault is one thing that may happen. begin makes it and returns what ends it.
type fault struct {
	weight int
	name   string
	target string
	begin  func() (end func() error, err error)
	alone  bool // never with another one
}

// nemesis makes one fault after the other, now and then two at once.
type nemesis struct {
	w    *world
	rng  *rand.Rand
	done map[string]int // faults made, by kind
	log  func(string)
}

// run makes faults until the time is over, and leaves everything whole.
func (n *nemesis) run(ctx context.Context) error {
	for ctx.Err() == nil {
		ends := []func() error{}
		taken := ""
		for range 1 + n.rng.IntN(5)/4 {
			f := n.draw()
			if f.target == taken || f.alone && len(ends) > 0 {
				break
			}
			taken = f.target
			n.log("begins: " + f.name)
			end, err := f.begin()
			if err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
			n.done[f.name]++
			ends = append(ends, end)
			if f.alone {
				break
			}
		}
		wait(ctx, time.Duration(n.rng.Int64N(int64(1500*time.Millisecond))))
		for _, end := range ends {
			if err := end(); err != nil {
				return err
			}
		}
		n.log("is over")
		if err := n.w.revive(); err != nil {
			return err
		}
		wait(ctx, time.Duration(n.rng.Int64N(int64(700*time.Millisecond))))
	}
	return nil
}

// drill stops the leader for longer than a standby waits, lets it go on, kills it, and
// kills a handler, again and again: what a broken rule of the relay does not survive.
func (n *nemesis) drill(ctx context.Context) error {
	for i := 0; ctx.Err() == nil; i++ {
		for _, p := range []*process{n.w.streamers[i%2], n.w.streamers[(i+1)%2]} {
			p.signal(syscall.SIGSTOP)
			wait(ctx, time.Second)
			p.signal(syscall.SIGCONT)
			wait(ctx, 300*time.Millisecond)
			n.done["a streamer is stopped"]++
		}
		for _, p := range []*process{n.w.streamers[i%2], n.w.handlers[i%2]} {
			p.kill()
			if err := p.start(); err != nil {
				return err
			}
			n.done[p.name+" is killed"]++
			wait(ctx, 700*time.Millisecond)
		}
		if err := n.w.revive(); err != nil {
			return err
		}
	}
	return nil
}

func (n *nemesis) draw() fault {
	list := n.faults()
	total := 0
	for _, f := range list {
		total += f.weight
	}
	k := n.rng.IntN(total)
	for _, f := range list {
		if k -= f.weight; k < 0 {
			return f
		}
	}
	panic("the weights of the faults do not add up")
}

func (n *nemesis) faults() []fault {
	w := n.w
	streamer := w.streamers[n.rng.IntN(len(w.streamers))]
	handler := w.handlers[n.rng.IntN(len(w.handlers))]
	node := n.rng.IntN(len(w.nats.nodes))
	list := []fault{
		{weight: 8, name: "a streamer is killed", target: streamer.name, begin: killed(streamer)},
		{weight: 5, name: "a streamer is stopped", target: streamer.name, begin: stopped(streamer)},
		{weight: 5, name: "a handler is killed", target: handler.name, begin: killed(handler)},
		{weight: 3, name: "a handler is stopped", target: handler.name, begin: stopped(handler)},
		{weight: 4, name: "a NATS node is killed", target: "NATS", begin: killed(w.nats.nodes[node])},
		{weight: 3, name: "a NATS node is stopped", target: "NATS", begin: stopped(w.nats.nodes[node])},
		{weight: 2, name: "the database is killed", target: "database", begin: w.databaseKilled},
		{weight: 2, name: "the database is stopped", target: "database", begin: w.databaseStopped},
		{weight: 2, name: "all connections of the database are ended", target: "database", begin: w.connectionsKilled},
		{weight: 2, name: "the binlog is rotated", target: "database", begin: w.rotated},
	}
	l := w.links.all[n.rng.IntN(len(w.links.all))]
	list = append(list,
		fault{weight: 4, name: "a link is cut", target: l.name, begin: func() (func() error, error) { l.cut(); return l.mend, nil }},
		fault{weight: 4, name: "a link swallows answers", target: l.name, begin: toxic(l, "timeout", "downstream", `"timeout":0`)},
		fault{weight: 3, name: "a link swallows requests", target: l.name, begin: toxic(l, "timeout", "upstream", `"timeout":0`)},
		fault{weight: 3, name: "a link is late", target: l.name, begin: toxic(l, "latency", "downstream", `"latency":300,"jitter":250`)},
		fault{weight: 3, name: "a link is slow", target: l.name, begin: toxic(l, "bandwidth", "upstream", `"rate":40`)},
		fault{weight: 2, name: "a link ends in the middle of a message", target: l.name, begin: toxic(l, "limit_data", "upstream", fmt.Sprintf(`"bytes":%d`, n.rng.IntN(100_000)))},
	)
	if len(w.nats.nodes) > 1 {
		list = append(list,
			fault{weight: 4, name: "the stream's leader steps down", target: "NATS", begin: w.stepDown},
			fault{weight: 1, name: "a NATS node is wiped", alone: true, begin: func() (func() error, error) { return w.wiped(node) }},
		)
	}
	return list
}

func killed(p *process) func() (func() error, error) {
	return func() (func() error, error) { p.kill(); return p.start, nil }
}

func stopped(p *process) func() (func() error, error) {
	return func() (func() error, error) {
		p.signal(syscall.SIGSTOP)
		return func() error { p.signal(syscall.SIGCONT); return nil }, nil
	}
}

func toxic(l *link, kind, stream, attributes string) func() (func() error, error) {
	return func() (func() error, error) { return l.mend, l.toxic(kind, stream, attributes) }
}

func (w *world) databaseKilled() (func() error, error) {
	if err := w.db.server.Kill(); err != nil {
		return nil, err
	}
	return func() error { return w.db.server.Restart(context.Background()) }, nil
}

func (w *world) databaseStopped() (func() error, error) {
	return w.db.server.Resume, w.db.server.Pause()
}

// connectionsKilled ends all but its own, one by one; some are gone by then.
func (w *world) connectionsKilled() (func() error, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	rows, err := w.db.QueryContext(ctx, "SELECT ID FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID() AND USER = 'root'")
	if err != nil {
		return nothing, nil // the database is away: another fault's doing
	}
	var ids []int64
	for rows.Next() {
		var id int64
		if rows.Scan(&id) == nil {
			ids = append(ids, id)
		}
	}
	_ = rows.Close()
	for _, id := range ids {
		_, _ = w.db.ExecContext(ctx, fmt.Sprintf("KILL %d", id))
	}
	return nothing, nil
}

func (w *world) rotated() (func() error, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, _ = w.db.ExecContext(ctx, "FLUSH BINARY LOGS")
	return nothing, nil
}

func (w *world) stepDown() (func() error, error) {
	_, _ = w.nc.Request("$JS.API.STREAM.LEADER.STEPDOWN.OUTBOX", nil, 2*time.Second)
	return nothing, nil
}

// wiped takes a node's data away while the two others have everything.
func (w *world) wiped(i int) (func() error, error) {
	if !w.allCurrent() {
		return nothing, nil
	}
	p := w.nats.nodes[i]
	p.kill()
	if err := w.nats.wipe(i); err != nil {
		return nil, err
	}
	return func() error {
		if err := p.start(); err != nil {
			return err
		}
		// Until it has everything again, no other node may be lost.
		return w.until("the wiped node has everything again", time.Minute, w.allCurrent)
	}, nil
}

func nothing() error { return nil }
