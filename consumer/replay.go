package consumer

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/internal/deadletter"
)

// replayRoom is how many replays a process holds.
const replayRoom = 2

// replayDurable is what the consumer called name is called on the stream of dead letters.
func replayDurable(name string) string { return "replay-" + name }

// replays is the queue of dead letters that were put back for this consumer. It
// has a durable consumer and a worker of its own, since replays are neither in the
// stream's order nor in its partitions; the worker runs only when one of the
// others is idle.
type replays struct {
	*queue
	main *engine
}

// newReplays returns the replays with an engine of their own, for which the main one is ready.
func newReplays(main *engine) *replays {
	e := &engine{Consumer: main.Consumer, work: main.work}
	e.readyOnce.Do(func() {})
	r := &replays{queue: newQueue(e, replayRoom), main: main}
	e.dispatch = r
	return r
}

// open makes the durable consumer ready, and removes what it has acknowledged: a
// replay that is handled is removed at once, but its process may have died in between.
func (r *replays) open(ctx context.Context) (stream, durable string, err error) {
	r.partitions.Store(r.main.partitions.Load())
	r.replicas.Store(r.main.replicas.Load())
	name := r.deadStream()
	dead, err := r.js.Stream(ctx, name)
	if err != nil {
		return "", "", fmt.Errorf("look up stream %s: %w", name, err)
	}
	filter := deadletter.ReplaySubject(r.cfg.Stream, r.cfg.Name, ">")
	cons, err := dead.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
		Durable:       replayDurable(r.cfg.Name),
		Description:   "binjet consumer of replayed dead letters",
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       r.cfg.AckWait,
		MaxDeliver:    -1,
		MaxAckPending: r.cfg.MaxAckPending,
		FilterSubject: filter,
	})
	if err != nil {
		return "", "", fmt.Errorf("create the durable consumer %s on %s: %w", replayDurable(r.cfg.Name), name, err)
	}
	if floor := cons.CachedInfo().AckFloor.Stream; floor > 0 {
		if err := dead.Purge(ctx, jetstream.WithPurgeSubject(filter), jetstream.WithPurgeSequence(floor+1)); err != nil {
			r.log.Warn("could not remove replays that are handled", slog.String("stream", name), slog.Any("error", err))
		}
	}
	return name, replayDurable(r.cfg.Name), nil
}

// start follows the replays until ctx ends or stop is called, which waits for the end.
func (r *replays) start(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { r.follow(ctx) })
	return func() { cancel(); wg.Wait() }
}

// follow keeps a session open until ctx ends, once the consumer has found its
// stream and that it may run. What keeps it from that does not
// end Run: there is only nothing to be replayed meanwhile.
func (r *replays) follow(ctx context.Context) {
	select {
	case <-r.main.ready:
	case <-ctx.Done():
		return
	}
	said := ""
	for failures := 1; ctx.Err() == nil; failures++ {
		opened, err := r.session(ctx, r)
		if ctx.Err() != nil {
			return
		}
		if opened {
			failures = 1
		}
		wait := Backoff{Min: 100 * time.Millisecond, Max: time.Minute}.delay(failures)
		level := slog.LevelDebug
		if text := fmt.Sprint(err); text != said {
			level, said = slog.LevelWarn, text
		}
		r.log.Log(ctx, level, "dead letters can't be replayed now", slog.Any("error", err), slog.Duration("again_in", wait))
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// accept implements feed: the message is what it was before it died.
func (r *replays) accept(in incoming) error {
	msg, err := decodeReplay(r.cfg.Stream, in.raw)
	r.take(&delivery{raw: in.raw, msg: msg, err: err, at: place{sequence: in.meta.Sequence.Stream}}, in)
	return nil
}

// conclude removes a replay that will not come back. Where that fails, the next
// session does it.
func (r *replays) conclude(d *delivery, out Outcome) error {
	err := r.queue.conclude(d, out)
	if out.Kind == Retried || out.Kind == Deferred {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.work), buryTimeout)
	defer cancel()
	dead, lost := r.js.Stream(ctx, d.at.stream)
	if lost == nil {
		lost = dead.DeleteMsg(ctx, d.at.sequence)
	}
	if lost != nil {
		r.log.Warn("could not remove a replay that is handled", slog.Uint64("replay", d.at.sequence), slog.Any("error", lost))
	}
	return err
}

// decodeOrigin reads a dead letter or a replay as the message that it was. topic
// is what its subject says, for when it can't be read elsewhere.
func decodeOrigin(m *nats.Msg, topic string) (*Message, error) {
	h := m.Header
	origin := &nats.Msg{Subject: h.Get(binjet.HeaderOriginSubject), Header: h, Data: m.Data}
	if origin.Subject == "" {
		origin.Subject = topic
	}
	msg, err := decode(origin, "", false)
	if h.Get(binjet.HeaderTopic) == "" {
		msg.Topic = topic
	}
	msg.Sequence, _ = strconv.ParseUint(h.Get(binjet.HeaderOriginSequence), 10, 64)
	msg.Published, _ = time.Parse(time.RFC3339Nano, h.Get(binjet.HeaderOriginTime))
	msg.Replayed, _ = strconv.Atoi(h.Get(binjet.HeaderDeadReplays))
	return msg, err
}

// decodeReplay reads a replay, whose subject is deadletter.ReplaySubject.
func decodeReplay(stream string, m *nats.Msg) (*Message, error) {
	_, rest := deadletter.Parts(stream, m.Subject)
	_, topic, _ := strings.Cut(rest, ".") // behind the consumer's name
	return decodeOrigin(m, topic)
}
