package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
)

// peerSpec is what a peer is told: test/bench-peers/outbox reads it.
type peerSpec struct {
	How, URL, DSN, Addr, Flavor, Database, Before, State string
}

// peer is a way to publish an outbox.
type peer struct{ how, name string }

func peers() []peer {
	return []peer{{"binjet", wayBinjet}, {"polling", "polling: SELECT … SKIP LOCKED, publish, DELETE"}, {"watermill", "Watermill's forwarder"},
		{"canal", "go-mysql canal, Publish"}, {"canal-async", "go-mysql canal, PublishAsync"}}
}

// compared is what was measured of a peer.
type compared struct {
	Way       string
	Rate      float64 // events a second, from a tenth to half of the backlog
	Lost      int     // never published, over one kill -9 and restart
	Repeated  int     // published once more
	Backwards int     // published behind a later one for the first time
	Latency   timed
}

func comparePeers(ctx context.Context, w *world) error {
	t := &table{Title: fmt.Sprintf("Peers: a backlog of %s rows, killed once, and %d tx/s", thousands(float64(w.opts.peerRows)), peerRate),
		Head: []string{"drain: binjet ÷ it", "p50: it ÷ binjet", "", "events/s", "p50 / p99 / p99.9 / max ms", "lost", "repeated", "out of order", "lost without a kill"},
		Note: "256 B, one row in a transaction, R1. Each is killed by SIGKILL when six tenths are published, and started again. Lost without a kill: of the events at the steady rate, by several writers."}
	if err := w.buildPeers(ctx); err != nil {
		return err
	}
	nats, err := w.startBroker(ctx, 1)
	if err != nil {
		return err
	}
	defer nats.close()
	var all []compared
	for _, p := range peers() {
		c, err := w.comparePeer(ctx, nats, p)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		w.say("%s: %s/s, p50 %s ms, lost %d, repeated %d, out of order %d", p.name, thousands(c.Rate), millis(c.Latency.Total.P50), c.Lost, c.Repeated, c.Backwards)
		all = append(all, c)
		t.add(ratio(all[0].Rate, c.Rate), ratio(c.Latency.Total.P50.Seconds(), all[0].Latency.Total.P50.Seconds()), p.name, thousands(c.Rate), c.Latency.Total, c.Lost, c.Repeated, c.Backwards, c.Latency.Lost)
	}
	w.report.keep("peers", all, t)
	return nil
}

// buildPeers builds what is a module of its own.
func (w *world) buildPeers(ctx context.Context) error {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/binjet/binjet").Output()
	if err != nil {
		return fmt.Errorf("find binjet's module (run this in the test directory): %w", err)
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-C", filepath.Join(strings.TrimSpace(string(root)), "test", "bench-peers"), "-o", w.peerBin(), "./outbox")
	cmd.Env = append(os.Environ(), "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the peers: %w\n%s", err, out)
	}
	return nil
}

func (w *world) peerBin() string { return filepath.Join(w.dir, "peers") }

func (w *world) comparePeer(ctx context.Context, nats *broker, p peer) (c compared, err error) {
	if c, err = w.drainPeer(ctx, nats, p); err != nil {
		return c, err
	}
	c.Way = p.name
	b, err := w.newDatabase(ctx, "peers")
	if err != nil {
		return c, err
	}
	if err := w.peerTable(ctx, b, p); err != nil {
		return c, err
	}
	if err := w.initStream(ctx, nats, b); err != nil {
		return c, err
	}
	if err := os.Remove(w.peerState()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return c, err // a position of the backlog's, whose binlog is gone
	}
	run, err := w.startPeer(nats, b, p)
	if err != nil {
		return c, err
	}
	defer run.kill()
	if c.Latency, err = w.timeEvents(ctx, nats, b, peerRate, p.how == "watermill", run); err != nil {
		return c, err
	}
	c.Latency.Way, c.Latency.Replicas, c.Latency.Rate = p.name, 1, peerRate
	run.kill()
	return c, w.drop(ctx, b)
}

// peerRate is at which latency is compared: what the slowest of them can follow.
const peerRate = 100

// drainPeer kills it once.
func (w *world) drainPeer(ctx context.Context, nats *broker, p peer) (c compared, err error) {
	b, err := w.peerBacklog(ctx, p)
	if err != nil {
		return c, err
	}
	_ = os.Remove(w.peerState())
	if err := w.initStream(ctx, nats, b); err != nil {
		return c, err
	}
	run, err := w.startPeer(nats, b, p)
	if err != nil {
		return c, err
	}
	defer func() { run.kill() }()
	if err := nats.waitFor(ctx, b.rows*6/10, run); err != nil {
		return c, err
	}
	run.kill()
	if c.Rate, err = nats.rateBetween(ctx, b.rows/10, b.rows/2); err != nil {
		return c, err
	}
	if run, err = w.startPeer(nats, b, p); err != nil {
		return c, err
	}
	if err := w.waitForQuiet(ctx, nats, b.rows, run); err != nil {
		return c, err
	}
	run.kill()
	if err := nats.audit(ctx, b.rows, &c); err != nil {
		return c, err
	}
	return c, w.drop(ctx, b)
}

func (w *world) peerState() string { return filepath.Join(w.dir, "position") }

func (w *world) startPeer(nats *broker, b *backlog, p peer) (*child, error) {
	if p.how == "binjet" {
		s, err := w.startStreamer(nats, b, b.before)
		if err != nil {
			return nil, err
		}
		return s.child, nil
	}
	cmd, err := self("", peerSpec{p.how, nats.url, w.srv.DSN(b.db), w.srv.Addr(), w.opts.server, b.db, b.before, w.peerState()})
	if err != nil {
		return nil, err
	}
	cmd.Path, cmd.Args = w.peerBin(), []string{w.peerBin()}
	return startChild(w.dir, p.how, cmd)
}

// peerBacklog is written by one writer, so that the order of the commits is that of the
// events' numbers.
func (w *world) peerBacklog(ctx context.Context, p peer) (*backlog, error) {
	if p.how != "watermill" {
		return w.newBacklog(ctx, "peers", w.opts.peerRows, hugeSize, 1, 1)
	}
	b, err := w.newDatabase(ctx, "peers")
	if err != nil {
		return nil, err
	}
	if err := w.peerTable(ctx, b, p); err != nil {
		return nil, err
	}
	b.rows = w.opts.peerRows
	say, e := w.saying(fmt.Sprintf("write %d rows to Watermill's table", b.rows), b.rows), newEvents(hugeSize, 1)
	return b, w.fill(ctx, fill{rows: b.rows, perTx: 1, writers: 1, progress: say, insert: func(to []byte, n, _ int) []byte {
		return e.watermillInsert(append(to, "INSERT INTO peers."...), n)
	}})
}

// peerTable makes the table that Watermill's SQL publisher makes for the topic "outbox".
func (w *world) peerTable(ctx context.Context, b *backlog, p peer) error {
	if p.how != "watermill" {
		return nil
	}
	_, err := w.db.ExecContext(ctx, "CREATE TABLE "+b.db+".watermill_outbox (`offset` BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, `uuid` VARCHAR(36) NOT NULL,"+
		" `created_at` TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, `payload` JSON DEFAULT NULL, `metadata` JSON DEFAULT NULL)")
	return err
}

// watermillInsert is the n-th event as Watermill's forwarder wants it: in an envelope,
// its headers in the metadata.
func (e *events) watermillInsert(to []byte, n int) []byte {
	msg := e.message(n)
	meta := ""
	for name := range msg.Header {
		meta += `,"` + name + `":"` + msg.Header.Get(name) + `"`
	}
	return fmt.Appendf(to, `watermill_outbox (uuid, payload, metadata) VALUES ('%s','{"destination_topic":"%s","uuid":"%s","payload":"%s","metadata":{%s}}','{}')`,
		eventID(n), subject, eventID(n), base64.StdEncoding.EncodeToString(e.body(n)), meta[1:])
}

// rateBetween goes by when the broker stored the messages of these sequences.
func (b *broker) rateBetween(ctx context.Context, from, to int) (float64, error) {
	s, err := b.js.Stream(ctx, streamName)
	if err != nil {
		return 0, err
	}
	var at [2]*jetstream.RawStreamMsg
	for i, seq := range []int{from, to} {
		if at[i], err = s.GetMsg(ctx, uint64(max(1, seq)), jetstream.WithGetMsgSubject(subject)); err != nil {
			return 0, err
		}
	}
	return float64(at[1].Sequence-at[0].Sequence) / between(at[0].Time, at[1].Time), nil
}

// waitForQuiet waits until nothing more is published: for longer while events are missing,
// since a take-over takes three heartbeats and polls have pauses.
func (w *world) waitForQuiet(ctx context.Context, nats *broker, rows int, by *child) error {
	s, err := nats.js.Stream(ctx, streamName)
	if err != nil {
		return err
	}
	var last uint64
	moved := time.Now()
	return poll(ctx, time.Hour, "the end of the backlog", func() (bool, error) {
		if by.ended() {
			return false, by.failed()
		}
		info, err := s.Info(ctx)
		if err != nil {
			return false, err
		}
		if info.State.Msgs != last {
			last, moved = info.State.Msgs, time.Now()
		}
		quiet := w.opts.quiet
		if last >= uint64(rows) {
			quiet /= 4
		}
		return time.Since(moved) > quiet, nil
	})
}

// audit counts what is in the stream against what was committed.
func (b *broker) audit(ctx context.Context, rows int, c *compared) error {
	consumer, err := b.js.OrderedConsumer(ctx, streamName, jetstream.OrderedConsumerConfig{FilterSubjects: []string{subject}, HeadersOnly: true})
	if err != nil {
		return err
	}
	info, err := consumer.Info(ctx)
	if err != nil {
		return err
	}
	messages, err := consumer.Messages()
	if err != nil {
		return err
	}
	defer messages.Stop()
	seen, latest, distinct := make([]bool, rows), -1, 0
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for range info.NumPending {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		n, err := eventNumber(msg.Headers().Get(binjet.HeaderID))
		if err != nil || n >= rows {
			return errors.Join(err, fmt.Errorf("event %d of %d", n, rows))
		}
		switch {
		case seen[n]:
			c.Repeated++
			continue
		case n < latest:
			c.Backwards++
		}
		seen[n] = true
		distinct++
		latest = max(latest, n)
	}
	c.Lost = rows - distinct
	return nil
}

// eventNumber is what eventID made.
func eventNumber(id string) (int, error) { return strconv.Atoi(id[strings.LastIndexByte(id, '-')+1:]) }
