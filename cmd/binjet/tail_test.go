package main

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/internal/natstest"
)

// tailWorld is a stream with partitions and three events.
func tailWorld(t *testing.T) (environ []string, js jetstream.JetStream) {
	t.Helper()
	t.Chdir(t.TempDir())
	srv := natstest.Start(t)
	js, err := jetstream.New(srv.Connect(t))
	must(t, err)
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "OUTBOX", Subjects: []string{"outbox.>"}, Metadata: map[string]string{binjet.MetadataPartitions: "2"}})
	must(t, err)
	for _, e := range [][4]string{{"a", "orders.created", "k1", `{"n":1}`}, {"b", "orders.paid", "k2", "plain"}, {"c", "users.added", "k1", "\x1b[2J"}} {
		m := nats.NewMsg(binjet.Subject("outbox", e[1], e[2], 2))
		m.Data = []byte(e[3])
		for name, value := range map[string]string{binjet.HeaderID: e[0], binjet.HeaderTopic: e[1], binjet.HeaderKey: e[2], binjet.HeaderSource: "shop", "Tenant": e[0]} {
			m.Header.Set(name, value)
		}
		_, err := js.PublishMsg(t.Context(), m)
		must(t, err)
	}
	return []string{"BINJET_NATS_URL=" + srv.URL()}, js
}

func TestTail(t *testing.T) {
	env, js := tailWorld(t)
	for name, test := range map[string]struct {
		args string
		code int
		ids  string // in the order in which they are shown
		text string // on either output
	}{
		"all":           {"--all --no-follow", 0, "abc", `\x1b[2J`},
		"topic":         {"--all --no-follow --topic orders.*", 0, "ab", "\"n\": 1"},
		"two topics":    {"--all --no-follow --topic orders.paid --topic users.>", 0, "bc", ""},
		"key":           {"--all --no-follow --key k1", 0, "ac", "key=k1"},
		"header":        {"--all --no-follow --header Tenant=b", 0, "b", "Tenant: b"},
		"no header":     {"--all --no-follow --header Other", 0, "", ""},
		"source":        {"--all --no-follow --source other", 0, "", ""},
		"from":          {"--from 2 --no-follow -n 1", 0, "b", "#2"},
		"since":         {"--since 1h --no-follow", 0, "abc", ""},
		"nothing since": {"--since 2099-01-01T00:00:00Z --no-follow", 0, "", ""},
		"count":         {"--all -n 2", 0, "ab", ""},
		"json":          {"--all --no-follow -o json --key k2", 0, "b", `"subject":"outbox.`},
		"nothing":       {"--no-follow", 2, "", "give --since, --from or --all"},
		"two starts":    {"--all --from 1", 2, "", "give one of"},
		"bad topic":     {"--all --topic a..b", 2, "", "empty token"},
		"no stream":     {"--all --stream NONE", 1, "", "stream NONE"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errs := do(env, append([]string{"tail"}, strings.Fields(test.args)...)...)
			ids := ""
			for _, part := range strings.FieldsFunc(out, func(r rune) bool { return r == ' ' || r == '\n' || r == ',' || r == '{' }) {
				if id, ok := strings.CutPrefix(part, "id="); ok {
					ids += id
				} else if id, ok := strings.CutPrefix(part, `"id":`); ok {
					ids += strings.Trim(id, `"`)
				}
			}
			if code != test.code || ids != test.ids || !strings.Contains(out+errs, test.text) {
				t.Errorf("exit %d, %q\n%s%s", code, ids, out, errs)
			}
		})
	}
	stream, err := js.Stream(t.Context(), "OUTBOX")
	must(t, err)
	for name := range stream.ConsumerNames(t.Context()).Name() {
		info, err := stream.Consumer(t.Context(), name)
		must(t, err)
		if c := info.CachedInfo().Config; c.Durable != "" || c.AckPolicy != jetstream.AckNonePolicy || c.InactiveThreshold > 10*time.Minute {
			t.Errorf("left behind: %+v", c)
		}
	}
}
