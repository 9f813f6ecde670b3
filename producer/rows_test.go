package producer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/binjet/binjet"
)

// What a message's row is must not depend on what was inserted beside it.
func TestRowsOfOneInsertAreThoseOfSeveral(t *testing.T) {
	at := time.Date(2031, 1, 2, 3, 4, 5, 0, time.UTC)
	random := rand.New(rand.NewPCG(1, 2))
	one := func(of ...string) string { return of[random.IntN(len(of))] }
	for name, cfg := range map[string]Config{
		"bare":    {},
		"headers": {Headers: binjet.Headers{"a": {"default"}, "b": {"default"}}},
		"all": {
			Headers:    binjet.Headers{"a": {"default"}},
			Inject:     func(_ context.Context, h binjet.Headers) { h.Set("b", "injected"); h.Set("c", "injected") },
			Middleware: []Middleware{func(_ context.Context, m *binjet.Message) error { m.Headers.Set("id", m.ID); return nil }},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := mustNew(t, cfg)
			var msgs []*binjet.Message
			for i := range 500 {
				m := &binjet.Message{ID: fmt.Sprint(i), Topic: one("a", "b"), Key: one("", "k", "b"), ContentType: one("", "x/y"), Payload: []byte("1")}
				switch random.IntN(6) {
				case 0:
					m.Headers = binjet.Headers{one("a", "b", "d"): {"own"}}
				case 1:
					m.ExpireAfter = time.Hour
				case 2:
					m.DeliverAt = at
				}
				msgs = append(msgs, m)
			}
			var together, alone recorder
			if err := p.Insert(t.Context(), &together, msgs...); err != nil {
				t.Fatal(err)
			}
			for i, m := range msgs {
				if err := p.Insert(t.Context(), &alone, m); err != nil {
					t.Fatal(err)
				}
				got, want := together.calls[0].args[i*columns:(i+1)*columns], alone.calls[i].args
				if !reflect.DeepEqual(got, want) {
					t.Fatalf("message %d of %d is %q, alone %q", i, len(msgs), got, want)
				}
			}
		})
	}
}

func TestHeadersOfTheProducer(t *testing.T) {
	own := binjet.Headers{"service": {"shop"}, "version": {"1"}}
	p := mustNew(t, Config{
		Headers: own,
		Inject: func(_ context.Context, h binjet.Headers) {
			h.Set("traceparent", "ctx")
			h.Set("version", "injected")
		},
	})
	own.Set("service", "changed later")
	msgs := []*binjet.Message{message("a"), message("a"), message("a")}
	msgs[1].Headers = binjet.Headers{"service": {"mine"}, "x": {"y"}}
	msgs[2].Headers = binjet.Headers{"traceparent": {"mine"}}
	var tx recorder
	if err := p.Insert(t.Context(), &tx, msgs...); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{
		`{"service":"shop","traceparent":"ctx","version":"injected"}`,
		`{"service":"mine","traceparent":"ctx","version":"injected","x":"y"}`,
		`{"service":"shop","traceparent":"mine","version":"1"}`,
	} {
		if got := string(tx.calls[0].args[i*columns+3].([]byte)); got != want {
			t.Errorf("message %d has %s, want %s", i, got, want)
		}
	}
	if len(msgs[1].Headers) != 2 || msgs[0].Headers != nil {
		t.Error("the caller's headers were changed")
	}
}

func TestMiddleware(t *testing.T) {
	type key struct{}
	now := time.Unix(1000, 0)
	p := mustNew(t, Config{
		Now:     func() time.Time { return now },
		Headers: binjet.Headers{"default": {"1"}},
		Middleware: []Middleware{
			func(ctx context.Context, m *binjet.Message) error {
				if m.ID == "" || m.Headers.Get("default") != "1" || !m.CreatedAt.Equal(now) {
					t.Errorf("the middleware got %+v", m)
				}
				m.Topic, m.Key = m.Topic+".enriched", ctx.Value(key{}).(string)
				m.Payload = append([]byte("sealed "), m.Payload...)
				m.Headers["list"] = append(m.Headers["list"], "added")
				return nil
			},
			func(_ context.Context, m *binjet.Message) error {
				m.ContentType = "second/" + m.Key
				return nil
			},
		},
	})
	list := make([]string, 1, 5) // into the rest of which append could write
	list[0] = "mine"
	m := &binjet.Message{Topic: "a", Payload: []byte("p"), Headers: binjet.Headers{"list": list}}
	ctx := context.WithValue(t.Context(), key{}, "k")
	var tx recorder
	for range 2 { // a message that is inserted again is not enriched twice
		if err := p.Insert(ctx, &tx, m); err != nil {
			t.Fatal(err)
		}
	}
	want := []any{m.ID, "a.enriched", "k", []byte(`{"default":"1","list":["mine","added"],"Content-Type":"second/k"}`), []byte("sealed p")}
	for _, call := range tx.calls {
		if !reflect.DeepEqual(call.args, want) {
			t.Errorf("got %q, want %q", call.args, want)
		}
	}
	if m.Topic != "a" || m.Key != "" || m.ContentType != "" || string(m.Payload) != "p" || len(m.Headers) != 1 || list[:2][1] != "" {
		t.Errorf("the caller's message was changed: %+v", m)
	}
}

func TestMiddlewareNamesAndRefuses(t *testing.T) {
	no := errors.New("no key for this tenant")
	var tx recorder
	p := mustNew(t, Config{Middleware: []Middleware{func(_ context.Context, m *binjet.Message) error {
		switch m.Topic {
		case "named":
			m.ID = "order-1"
		case "nameless":
			m.ID = ""
		case "refused":
			return no
		case "invalid":
			m.Key = "\n"
		}
		return nil
	}}})
	named := message("named")
	if err := p.Insert(t.Context(), &tx, named); err != nil || named.ID != "order-1" || tx.calls[0].args[0] != "order-1" {
		t.Fatalf("the message is %q, the row %v, error %v", named.ID, tx.calls, err)
	}
	err := p.Insert(t.Context(), &tx, message("nameless"), message("refused"), message("invalid"), message("named"), message("named"))
	if !errors.Is(err, no) || !errors.Is(err, binjet.ErrInvalid) || len(tx.calls) != 1 {
		t.Fatalf("got %v after %d statements", err, len(tx.calls))
	}
	for _, want := range []string{
		"msgs[0]: ", "Config.Middleware took the ID away", "msgs[1]: ", `on topic "refused": Config.Middleware[0]: no key for this tenant`,
		"msgs[2]: ", "line break", `msgs[4]: message "order-1" on topic "named": ID is that of msgs[3] too`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestNewRefusesHeadersAndMiddleware(t *testing.T) {
	_, err := New(Config{Headers: binjet.Headers{"Nats-X": {"1"}, "y": {"a\nb"}}, Middleware: []Middleware{nil}})
	for _, want := range []string{"Config.Headers: a value of header", `header "Nats-X" is reserved`, `header "y"`, "Middleware[0] is nil"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if _, err := New(Config{Headers: binjet.Headers{"content-type": {"a/b"}}}); err == nil || !strings.Contains(err.Error(), "content-type") {
		t.Errorf("got %v", err)
	}
}

// What an insert allocates: for the statement the list of values, the IDs and the
// headers, and for each message what puts its values into interfaces.
func TestInsertAllocations(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  Config
		n    int
		keys bool // each message has another one
		want float64
	}{
		// values, IDs, headers; and boxed: ID, topic, key, headers, payload
		{"one", Config{}, 1, false, 8},
		// values, IDs, headers, and boxed once: topic, key, headers; for each message: ID, payload
		{"hundred of one key", Config{}, 100, false, 6 + 2*100},
		{"hundred", Config{}, 100, true, 5 + 3*100},
		{"producer's headers", Config{Headers: binjet.Headers{"a": {"b"}, "c": {"d"}}}, 100, true, 9 + 3*100},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := mustNew(t, c.cfg)
			msgs := make([]*binjet.Message, c.n)
			for i := range msgs {
				msgs[i] = &binjet.Message{Topic: "orders.created", Key: "order-4711", ContentType: "application/json", Payload: make([]byte, 256)}
				if c.keys {
					msgs[i].Key = fmt.Sprint("order-", i)
				}
			}
			got := testing.AllocsPerRun(100, func() {
				for _, m := range msgs {
					m.ID = ""
				}
				if err := p.Insert(context.Background(), null{}, msgs...); err != nil {
					t.Fatal(err)
				}
			})
			if got > c.want+raceAllocations {
				t.Errorf("%v allocations, want at most %v", got, c.want)
			}
		})
	}
}
