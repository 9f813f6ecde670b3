package consumerprom_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"go.uber.org/goleak"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/consumer"
	"github.com/binjet/binjet/consumer/consumerprom"
	"github.com/binjet/binjet/internal/metricsdoc"
	"github.com/binjet/binjet/internal/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a stream, and an instrumented consumer of it that runs.
type world struct {
	*testing.T
	js       jetstream.JetStream
	registry *prometheus.Registry
}

func newWorld(t *testing.T, cfg consumer.Config, handlers func(*consumer.Consumer)) *world {
	nc := natstest.Start(t).Connect(t)
	js, err := jetstream.New(nc)
	must(t, err)
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "OUTBOX", Subjects: []string{"outbox.>"}, AllowMsgTTL: true})
	must(t, err)
	w := &world{T: t, js: js, registry: prometheus.NewPedanticRegistry()}
	cfg.Name, cfg.Logger = "billing", slog.New(slog.DiscardHandler)
	cfg.Backoff = consumer.Backoff{Min: 10 * time.Millisecond, Max: 20 * time.Millisecond}
	metrics := consumerprom.Instrument(&cfg)
	c, err := consumer.New(js, cfg)
	must(t, err)
	handlers(c)
	metrics.Watch(c)
	w.registry.MustRegister(metrics)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() { cancel(); must(t, <-done) })
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) publish(topic, id string, header ...string) {
	w.Helper()
	msg := &nats.Msg{Subject: "outbox." + topic, Data: []byte("{}"), Header: nats.Header{binjet.HeaderTopic: {topic}}}
	if id != "" {
		msg.Header.Set(binjet.HeaderID, id)
	}
	for i := 0; i < len(header); i += 2 {
		msg.Header.Set(header[i], header[i+1])
	}
	_, err := w.js.PublishMsg(w.Context(), msg)
	must(w.T, err)
}

// scrape is what Prometheus gets, one line for each value.
func (w *world) scrape() string {
	families, err := w.registry.Gather()
	must(w.T, err)
	var text strings.Builder
	for _, f := range families {
		_, err := expfmt.MetricFamilyToText(&text, f)
		must(w.T, err)
	}
	return strings.NewReplacer(`{consumer="billing",stream="OUTBOX"}`, "", `consumer="billing",`, "", `,stream="OUTBOX"`, "", `stream="OUTBOX",`, "").Replace(text.String())
}

// eventually waits until all lines are scraped.
func (w *world) eventually(lines ...string) string {
	w.Helper()
	deadline, tick := time.After(30*time.Second), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for {
		text, missing := w.scrape(), ""
		for _, line := range lines {
			if !strings.Contains(text, "\n"+line+"\n") {
				missing = line
			}
		}
		if missing == "" {
			return text
		}
		select {
		case <-tick.C:
		case <-deadline:
			w.Fatalf("no line %q in\n%s", missing, text)
		}
	}
}

func TestOutcomes(t *testing.T) {
	failures := 0
	w := newWorld(t, consumer.Config{MaxDeliver: 2, UnknownTopic: consumer.UnknownSkip}, func(c *consumer.Consumer) {
		c.Handle("orders.*", func(_ context.Context, m *consumer.Message) error {
			switch {
			case m.ID == "again" && m.Attempt == 1:
				return errors.New("not yet")
			case m.ID == "never":
				return consumer.Discard(errors.New("no"))
			case strings.HasPrefix(m.ID, "always"):
				failures++
				return errors.New("not at all")
			}
			return nil
		})
	})
	w.publish("orders.paid", "1", binjet.HeaderCreatedAt, time.Now().Add(-2*time.Hour).UTC().Format(binjet.CreatedAtLayout))
	w.publish("orders.sent", "2", binjet.HeaderCreatedAt, time.Now().Add(-2*time.Hour).UTC().Format(binjet.CreatedAtLayout),
		binjet.HeaderDeliverAt, time.Now().Add(-time.Minute).UTC().Format(binjet.CreatedAtLayout))
	w.publish("orders.sent", "2")
	w.publish("orders.sent", "again")
	w.publish("orders.sent", "never")
	w.publish("orders.sent", "")
	w.eventually(`binjet_consumer_outcomes_total{handler="orders.*",outcome="handled"} 3`)
	w.publish("orders.sent", "always")
	text := w.eventually(
		`binjet_consumer_outcomes_total{handler="orders.*",outcome="duplicate"} 1`,
		`binjet_consumer_outcomes_total{handler="orders.*",outcome="dead-lettered"} 2`,
		`binjet_consumer_outcomes_total{handler="",outcome="dead-lettered"} 1`,
		`binjet_consumer_outcomes_total{handler="orders.*",outcome="retried"} 2`,
		`binjet_consumer_dead_letters_total{reason="discarded"} 1`,
		`binjet_consumer_dead_letters_total{reason="attempts"} 1`,
		`binjet_consumer_dead_letters_total{reason="undecodable"} 1`,
		`binjet_consumer_handling_duration_seconds_count{handler="orders.*",outcome="handled"} 3`,
		// 1 is two hours old; 2 was put off until a minute ago; "again" does not say.
		`binjet_consumer_commit_to_handled_seconds_bucket{handler="orders.*",le="60"} 0`,
		`binjet_consumer_commit_to_handled_seconds_bucket{handler="orders.*",le="300"} 1`,
		`binjet_consumer_commit_to_handled_seconds_bucket{handler="orders.*",le="3600"} 1`,
		`binjet_consumer_commit_to_handled_seconds_count{handler="orders.*"} 2`,
	)
	if failures != 2 {
		t.Errorf("%d failures", failures)
	}
	for _, line := range []string{"deliveries_total 9", "redeliveries_total 2", `state{state="running"} 1`, `breaker_state{state="closed"} 1`} {
		if !strings.Contains(text, "\nbinjet_consumer_"+line+"\n") {
			t.Errorf("no %s in\n%s", line, text)
		}
	}
	// The page is checked on a registry that has a value for everything.
	metricsdoc.Check(t, "../../docs/metrics.md", "consumer", "binjet_consumer_", w.registry, "consumer", "stream")
}

// A key whose message fails keeps those behind it waiting, which shows.
func TestLanes(t *testing.T) {
	release := make(chan struct{})
	w := newWorld(t, consumer.Config{Ordered: consumer.ByKey, Breaker: consumer.BreakerConfig{Disabled: true}}, func(c *consumer.Consumer) {
		c.Handle("t", func(_ context.Context, m *consumer.Message) error {
			switch m.Key {
			case "stuck":
				return consumer.RetryAfter(time.Hour, errors.New("later"))
			case "slow":
				<-release
			}
			return nil
		})
	})
	defer close(release)
	for i := range 3 {
		w.publish("t", fmt.Sprint("s", i), binjet.HeaderKey, "stuck")
	}
	w.publish("t", "slow", binjet.HeaderKey, "slow")
	w.publish("t", "free", binjet.HeaderKey, "free")
	w.eventually(`binjet_consumer_parked_messages 1`, `binjet_consumer_blocked_messages 2`,
		`binjet_consumer_running_handlers 1`, `binjet_consumer_held_messages 4`,
		`binjet_consumer_outcomes_total{handler="t",outcome="handled"} 1`)
}
