package torture

import (
	"fmt"
	"strings"
	"syscall"
	"time"
)

func (n *nemesis) faults() []fault {
	list := append(n.ofProcesses(), n.ofLinks()...)
	list = append(list, n.ofDatabase()...)
	return append(list, n.ofNATS()...)
}

func (n *nemesis) ofProcesses() []fault {
	w := n.w
	streamer := w.streamers[n.rng.IntN(len(w.streamers))]
	handler := w.handlers[n.rng.IntN(len(w.handlers))]
	list := []fault{
		{weight: 8, name: "a streamer is killed", target: streamer.name, begin: killed(streamer)},
		{weight: 5, name: "a streamer is stopped", target: streamer.name, begin: stopped(streamer)},
		{weight: 3, name: "leaders are doubled", target: "streamers", alone: true, begin: w.leadersDoubled},
		{weight: 5, name: "a handler is killed", target: handler.name, begin: killed(handler)},
		{weight: 3, name: "a handler is stopped", target: handler.name, begin: stopped(handler)},
	}
	if len(w.clocks) > 0 {
		clock, by := w.clocks[n.rng.IntN(len(w.clocks))], []time.Duration{-48 * time.Hour, -10 * time.Minute, -2 * time.Second, 10 * time.Minute, 48 * time.Hour}[n.rng.IntN(5)]
		list = append(list, fault{weight: 3, name: "a streamer's clock jumps, and back", target: "clock", begin: func() (func() error, error) {
			return func() error { return clock.jump(0) }, clock.jump(by)
		}})
	}
	return list
}

func (n *nemesis) ofLinks() []fault {
	l := n.w.links.all[n.rng.IntN(len(n.w.links.all))]
	return []fault{
		{weight: 4, name: "a link is cut", target: l.name, begin: func() (func() error, error) { l.cut(); return l.mend, nil }},
		{weight: 3, name: "a link hangs, half-open", target: l.name, begin: func() (func() error, error) { return l.mend, l.hang() }},
		{weight: 4, name: "a link swallows answers", target: l.name, begin: toxic(l, "timeout", "downstream", `"timeout":0`)},
		{weight: 3, name: "a link swallows requests", target: l.name, begin: toxic(l, "timeout", "upstream", `"timeout":0`)},
		{weight: 3, name: "a link is late", target: l.name, begin: toxic(l, "latency", "downstream", `"latency":300,"jitter":250`)},
		{weight: 3, name: "a link is slow", target: l.name, begin: toxic(l, "bandwidth", []string{"upstream", "downstream"}[n.rng.IntN(2)], `"rate":40`)},
		{weight: 2, name: "a link ends in the middle of a message", target: l.name, begin: toxic(l, "limit_data", "upstream", fmt.Sprintf(`"bytes":%d`, n.rng.IntN(100_000)))},
	}
}

func (n *nemesis) ofDatabase() []fault {
	w := n.w
	list := []fault{
		{weight: 2, name: "the database is killed", target: "database", begin: w.databaseKilled},
		{weight: 2, name: "the database is stopped", target: "database", begin: w.databaseStopped},
		{weight: 2, name: "all connections of the database are ended", target: "database", begin: w.connectionsKilled},
		{weight: 2, name: "the binlog is rotated", target: "database", begin: w.rotated},
		{weight: 2, name: "a password of the database is another one", target: "database", begin: n.databasePassword},
		{weight: 1, name: "the right to read the binlog is taken away", target: "database", begin: w.rightRevoked},
	}
	if len(w.db.servers) > 1 {
		list = append(list, fault{weight: 2, name: "the database fails over", target: "database", alone: true, begin: w.failedOver})
	}
	return list
}

func (n *nemesis) ofNATS() []fault {
	w := n.w
	node := n.rng.IntN(len(w.nats.nodes))
	list := []fault{
		{weight: 4, name: "a NATS node is killed", target: "NATS", begin: killed(w.nats.nodes[node])},
		{weight: 3, name: "a NATS node is stopped", target: "NATS", begin: stopped(w.nats.nodes[node])},
		{weight: 2, name: "max_payload of NATS is lower", target: "NATS", begin: w.payloadLowered},
		{weight: 2, name: "a permission of NATS is taken away", target: "NATS", begin: n.denied},
		{weight: 2, name: "a password of NATS is another one", target: "NATS", begin: n.natsPassword},
	}
	if len(w.clocks) > 0 {
		list = append(list, fault{weight: 1, name: "the disk of a NATS node is full", target: "NATS", alone: true, begin: func() (func() error, error) { return w.diskFull(node) }})
	}
	if len(w.nats.nodes) > 1 {
		list = append(list,
			fault{weight: 4, name: "the stream's leader steps down", target: "NATS", begin: w.stepDown},
			fault{weight: 2, name: "two NATS nodes are cut off from each other", target: "NATS", begin: func() (func() error, error) { return w.nodesApart(node, (node+1)%len(w.nats.nodes)) }},
			fault{weight: 3, name: "the stream's leader is cut off from the other nodes", target: "NATS", begin: w.leaderIsolated},
			fault{weight: 1, name: "a NATS node is wiped", target: "NATS", alone: true, begin: func() (func() error, error) { return w.wiped(node) }},
		)
	}
	return list
}

func killed(p *process) func() (func() error, error) {
	return func() (func() error, error) { p.kill(); return p.start, nil }
}

// leadersDoubled stops the leader until another streamer leads, and lets both go on,
// three times.
func (w *world) leadersDoubled() (func() error, error) {
	for range 3 {
		before, err := w.checkpoint()
		if err != nil {
			return nothing, nil // nobody leads now
		}
		for _, p := range w.streamers {
			if !strings.HasSuffix(before.Instance, fmt.Sprintf(":%d", p.pid())) {
				continue
			}
			p.signal(syscall.SIGSTOP)
			err := w.until("another leader", 20*time.Second, func() bool {
				now, err := w.checkpoint()
				return err == nil && now.Epoch > before.Epoch
			})
			p.signal(syscall.SIGCONT)
			if err != nil {
				return nil, err
			}
		}
	}
	return nothing, nil
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

func nothing() error { return nil }
