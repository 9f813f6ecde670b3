package torture

import (
	"errors"
	"regexp"
	"slices"
	"time"
)

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

// payloadLowered refuses what is larger than half of the rows that are huge. A streamer
// that has to publish one halts, and says why; one that connects meanwhile puts it aside.
func (w *world) payloadLowered() (func() error, error) {
	w.excused = append(w.excused, regexp.MustCompile("Raise max_payload"))
	p := usualPolicy()
	p.MaxPayload = 300 << 10
	from := time.Now()
	return func() error {
		err := w.usualAgain()
		w.low = append(w.low, lowered{from, time.Now()})
		return err
	}, w.nats.change(p)
}

// denied takes one of the subjects from the streamers that they write to, or read by.
func (n *nemesis) denied() (func() error, error) {
	p := usualPolicy()
	p.Deny = []string{"outbox.>", checkpointSubject, readSubject}[n.rng.IntN(3)]
	return n.w.usualAgain, n.w.nats.change(p)
}

func (n *nemesis) natsPassword() (func() error, error) {
	p := usualPolicy()
	p.Passwords[[]string{streamerUser, handlerUser}[n.rng.IntN(2)]] = "another"
	return n.w.usualAgain, n.w.nats.change(p)
}

func (w *world) usualAgain() error { return w.nats.change(usualPolicy()) }

// leaderIsolated cuts the node that leads the stream off from all others, while its
// clients still reach it.
func (w *world) leaderIsolated() (func() error, error) {
	answer, err := w.ask("$JS.API.STREAM.INFO.OUTBOX")
	if err != nil {
		return nothing, nil // nobody leads it now
	}
	cluster, _ := answer["cluster"].(map[string]any)
	leader, _ := cluster["leader"].(string)
	at := slices.IndexFunc(w.nats.spec, func(n node) bool { return n.Name == leader })
	if at < 0 {
		return nothing, nil
	}
	var apart []int
	for i := range w.nats.nodes {
		if i != at {
			apart = append(apart, i)
		}
	}
	return w.nodesApart(at, apart...)
}

// nodesApart cuts one node off from others, in both directions; half of the time the
// connections stay and lead nowhere.
func (w *world) nodesApart(from int, others ...int) (func() error, error) {
	var cut []*link
	for _, to := range others {
		cut = append(cut, w.nats.routes[from][to], w.nats.routes[to][from])
	}
	w.cuts++
	for _, l := range cut {
		if w.cuts%2 == 0 {
			l.cut()
		} else if err := l.hang(); err != nil {
			return nil, err
		}
	}
	return func() error {
		var errs []error
		for _, l := range cut {
			errs = append(errs, l.mend())
		}
		return errors.Join(errs...)
	}, nil
}
