package produce

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	osexec "os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/consumer"
	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/producer"
	"github.com/binjet/binjet/producer/cloudevents"
	"github.com/binjet/binjet/producer/codec"
	"github.com/binjet/binjet/producer/codec/msgpack"
	"github.com/binjet/binjet/test/internal/testdb"
)

type paid struct {
	Total int `json:"total"`
}

// handled is a message, and when its handler ran.
type handled struct {
	*consumer.Message
	at time.Time
}

// TestEndToEnd sends messages from Insert through `binjet run` to a handler: with
// their headers, as CloudEvents, held back until their time, and expired.
func TestEndToEnd(t *testing.T) {
	bin := testdb.Command(t)
	eachFlavor(t, func(t *testing.T, s *dbserver.Server) {
		dsn, broker := schema(t, s, ""), testdb.NewBroker(t)
		streamer(t, bin, dsn, broker.URL())
		db := testdb.Open(t, dsn)
		js, err := jetstream.New(broker.Connect(t))
		must(t, err)

		events, err := cloudevents.New(cloudevents.Config{Source: "/shop"})
		must(t, err)
		type traceKey struct{}
		p := newProducer(t, producer.Config{
			Headers:    binjet.Headers{"service": {"shop"}},
			Middleware: []producer.Middleware{events},
			Inject: func(ctx context.Context, h binjet.Headers) {
				if v, ok := ctx.Value(traceKey{}).(string); ok {
					h.Set("traceparent", v)
				}
			},
		})
		asJSON, err := producer.NewTyped[paid](p, "paid.json", codec.JSON{})
		must(t, err)
		asMsgpack, err := producer.NewTyped[paid](p, "paid.msgpack", msgpack.Codec{})
		must(t, err)

		// The one that expires does so before any consumer is there.
		must(t, asJSON.Insert(t.Context(), db, "k", paid{1}, producer.WithID("expires"), producer.WithExpireAfter(time.Second)))
		must(t, asJSON.Insert(t.Context(), db, "k", paid{2}, producer.WithID("stays"), producer.WithExpireAfter(time.Hour)))
		stream, err := js.Stream(t.Context(), "OUTBOX")
		must(t, err)
		eventually(t, "both published, and the one expired", func() bool {
			last, err := stream.GetLastMsgForSubject(t.Context(), "outbox.paid.json")
			if err != nil || last.Header.Get(binjet.HeaderID) != "stays" {
				return false
			}
			info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter("outbox.>"))
			must(t, err)
			return info.State.Subjects["outbox.paid.json"] == 1
		})

		const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
		due := time.Now().Add(2 * time.Second)
		must(t, asMsgpack.Insert(context.WithValue(t.Context(), traceKey{}, trace), db, "k é", paid{3}, producer.WithID("held"), producer.WithDeliverAt(due)))

		got := receive(t, js, 2)
		stays, held := got["stays"], got["held"]
		if stays.Message == nil || held.Message == nil {
			t.Fatalf("handled were %v", got)
		}
		if stays.ExpireAfter != time.Hour || string(stays.Payload) != `{"total":2}` || stays.ContentType != "application/json" || stays.Headers.Get("traceparent") != "" {
			t.Errorf("got %+v", stays.Message)
		}
		if held.at.Before(due) || held.DeliverAt.Sub(due).Abs() > time.Microsecond || held.Headers.Get("traceparent") != trace || held.Headers.Get("service") != "shop" {
			t.Errorf("handled at %s what was due at %s: %+v", held.at, due, held.Message)
		}
		var v paid
		must(t, msgpack.Codec{}.Unmarshal(held.Payload, &v))
		event, err := cloudevents.Read(&held.Message.Message)
		must(t, err)
		if v.Total != 3 || event.ID != "held" || event.Source != "/shop" || event.Type != "paid.msgpack" || event.Subject != "k é" || event.DataContentType != "application/msgpack" || event.Time.IsZero() {
			t.Errorf("value %+v, event %+v", v, event)
		}
	})
}

// streamer runs `binjet run` until the end of the test.
func streamer(t *testing.T, bin, dsn, url string) {
	t.Helper()
	env := []string{"BINJET_SOURCE_DSN=" + dsn, "BINJET_NATS_URL=" + url, "BINJET_HTTP_LISTEN=127.0.0.1:0", "HOME=" + os.Getenv("HOME")}
	initialize := osexec.Command(bin, "init")
	initialize.Env, initialize.Dir = env, t.TempDir()
	if out, err := initialize.CombinedOutput(); err != nil {
		t.Fatalf("init: %v\n%s", err, out)
	}
	var log bytes.Buffer
	run := osexec.Command(bin, "run")
	run.Env, run.Dir, run.Stderr = env, t.TempDir(), &log
	must(t, run.Start())
	t.Cleanup(func() {
		_ = run.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(30*time.Second, func() { _ = run.Process.Kill() })
		err := run.Wait()
		kill.Stop()
		if err != nil || t.Failed() {
			t.Errorf("the streamer ended with %v:\n%s", err, &log)
		}
	})
}

// receive runs a consumer until n messages were handled, and returns them by ID.
func receive(t *testing.T, js jetstream.JetStream, n int) map[string]handled {
	t.Helper()
	c, err := consumer.New(js, consumer.Config{Name: "c", Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	messages := make(chan handled, 10)
	for _, topic := range []string{"paid.json", "paid.msgpack"} {
		c.Handle(topic, func(_ context.Context, m *consumer.Message) error {
			messages <- handled{m, time.Now()}
			return nil
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	got := map[string]handled{}
	for range n {
		select {
		case h := <-messages:
			got[h.ID] = h
		case <-ctx.Done():
			t.Errorf("only %d messages were handled", len(got))
		}
	}
	cancel()
	must(t, <-done)
	return got
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never: %s", what)
		}
	}
}
