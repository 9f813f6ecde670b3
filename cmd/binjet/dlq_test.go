package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/internal/deadletter"
	"github.com/binjet/binjet/internal/natstest"
)

// answer runs the command in this process with a person at its terminal.
func answer(environ []string, said string, args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = execute(process{args: args, environ: environ, stdin: strings.NewReader(said), stdout: &out, stderr: &err})
	return code, out.String(), err.String()
}

// letterWorld is a broker with two dead letters of consumer billing, numbers 1 and
// 2, and a row that the relay of source shop quarantined, number 3.
func letterWorld(t *testing.T) (environ []string, js jetstream.JetStream) {
	t.Helper()
	t.Chdir(t.TempDir())
	srv := natstest.Start(t)
	js, err := jetstream.New(srv.Connect(t))
	must(t, err)
	_, err = deadletter.Ensure(t.Context(), js, "OUTBOX", 1)
	must(t, err)
	_, err = js.CreateConsumer(t.Context(), "OUTBOX_DLQ", jetstream.ConsumerConfig{Durable: "replay-billing",
		AckPolicy: jetstream.AckExplicitPolicy, FilterSubject: deadletter.ReplaySubject("OUTBOX", "billing", ">")})
	must(t, err)
	for i, topic := range []string{"orders.created", "orders.paid", "_invalid"} {
		m := nats.NewMsg(deadletter.Subject("OUTBOX", "billing", topic))
		m.Data = []byte(`{"n":1}`)
		for name, value := range map[string]string{binjet.HeaderID: fmt.Sprintf("m%d", i+1), binjet.HeaderTopic: topic, binjet.HeaderContentType: "application/json",
			binjet.HeaderDeadReason: "timeout " + topic, binjet.HeaderDeadAttempts: "5", binjet.HeaderDeadAt: time.Now().UTC().Format(time.RFC3339),
			binjet.HeaderOriginSequence: fmt.Sprint(i + 10), binjet.HeaderOriginSubject: "outbox." + topic, "Tenant": "a"} {
			m.Header.Set(name, value)
		}
		if topic == "_invalid" {
			m.Subject = deadletter.Subject("OUTBOX", "shop", topic)
			m.Header.Del(binjet.HeaderOriginSequence)
		}
		_, err := js.PublishMsg(t.Context(), m)
		must(t, err)
	}
	return []string{"BINJET_NATS_URL=" + srv.URL()}, js
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestDLQ(t *testing.T) {
	env, _ := letterWorld(t)
	for name, test := range map[string]struct {
		args   string
		code   int
		out    []string
		not    string
		errors string
	}{
		"list":              {"dlq list", 0, []string{"m1", "m2", "shop (quarantined)", "timeout orders.paid"}, "", ""},
		"by":                {"dlq list --by billing --limit 1", 0, []string{"m1"}, "m2", ""},
		"topic":             {"dlq list --topic orders.* --reason paid", 0, []string{"m2"}, "m1", ""},
		"since":             {"dlq list --since 2099-01-01T00:00:00Z", 0, nil, "m1", "no dead letters"},
		"ago":               {"dlq list --since 1h --id m2", 0, []string{"m2"}, "m1", ""},
		"json":              {"dlq list -o json --id m1", 0, []string{`{"sequence":1,`, `"json":{"n":1}`, `"headers":{"Tenant":["a"]}`}, "m2", ""},
		"bad time":          {"dlq list --since yesterday", 2, nil, "", "no point in time"},
		"show":              {"dlq show 1", 0, []string{"given up by consumer billing after 5 attempts", "reason: timeout orders.created", "#10  orders.created  id=m1", "Tenant: a", `"n": 1`, "next: binjet dlq replay 1"}, "", ""},
		"show a row":        {"dlq show 3", 0, []string{"quarantined by the relay of source shop", "next: insert it again"}, "", ""},
		"show nothing":      {"dlq show 77", 1, nil, "", "binjet dlq list shows"},
		"show a word":       {"dlq show m1", 2, nil, "", "no sequence"},
		"no choice":         {"dlq drop", 2, nil, "", "say which"},
		"two choices":       {"dlq drop 1 --all", 2, nil, "", "not both"},
		"dry run":           {"dlq replay --all --dry-run", 0, []string{"would replay 2 dead letters; 1 quarantined row passed over"}, "", ""},
		"dry run of a drop": {"dlq drop --all --dry-run -o json", 0, []string{`"chosen": 3`, `"done": 0`}, "", ""},
		"a row":             {"dlq replay 3 --yes", 1, []string{"replayed 0 of 1"}, "", "insert it again, mended"},
		"rate":              {"dlq replay --all --rate fast", 2, nil, "", "no rate such as"},
		"dlq alone":         {"dlq", 2, nil, "", "name a command"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errs := do(env, strings.Fields(test.args)...)
			if code != test.code || !strings.Contains(errs, test.errors) || test.not != "" && strings.Contains(out, test.not) {
				t.Errorf("exit %d\n%s%s", code, out, errs)
			}
			for _, word := range test.out {
				if !strings.Contains(out, word) {
					t.Errorf("no %q in\n%s%s", word, out, errs)
				}
			}
		})
	}
	if _, out, _ := do(env, "dlq", "list"); strings.Count(out, "\n") != 4 {
		t.Errorf("something was changed:\n%s", out)
	}
}

// TestDLQAsks: nothing is changed without a yes, and all that was asked for with it.
func TestDLQAsks(t *testing.T) {
	env, js := letterWorld(t)
	if code, _, errs := answer(env, "no\n", "dlq", "replay", "--by", "billing"); code != 1 || !strings.Contains(errs, "Replay 2 dead letters?") || !strings.Contains(errs, "nothing was changed") {
		t.Errorf("exit %d: %s", code, errs)
	}
	began := time.Now()
	if code, out, errs := answer(env, "yes\n", "dlq", "replay", "--by", "billing", "--rate", "20/s"); code != 0 || out != "replayed 2 of 2 dead letters\n" {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	if took := time.Since(began); took < 50*time.Millisecond {
		t.Errorf("two in %s are more than 20 a second", took)
	}
	stream, err := js.Stream(t.Context(), "OUTBOX_DLQ")
	must(t, err)
	info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter("dlq.OUTBOX.$replay.billing.>"))
	must(t, err)
	if len(info.State.Subjects) != 2 {
		t.Errorf("replays: %v", info.State.Subjects)
	}
	if code, out, errs := answer(env, "", "dlq", "drop", "3", "3", "--yes"); code != 0 || out != "dropped 1 of 1 dead letter\n" {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	if _, out, errs := do(env, "dlq", "list"); out != "" || errs != "no dead letters\n" {
		t.Errorf("left: %s%s", out, errs)
	}
}

// Without a terminal somebody has to say yes beforehand.
func TestConfirmationNeedsATerminal(t *testing.T) {
	env, _ := letterWorld(t)
	if code, _, errs := do(env, "dlq", "drop", "1"); code != 2 || !strings.Contains(errs, "--yes") {
		t.Errorf("exit %d: %s", code, errs)
	}
}

func TestCompletion(t *testing.T) {
	env, js := letterWorld(t)
	t.Setenv("BINJET_NATS_URL", strings.TrimPrefix(env[0], "BINJET_NATS_URL="))
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "OUTBOX", Subjects: []string{"outbox.>", "binjet.checkpoint.*"}})
	must(t, err)
	_, err = js.Publish(t.Context(), "binjet.checkpoint.shop", []byte("x"))
	must(t, err)
	for _, durable := range []string{"billing", "shipping"} {
		_, err = js.CreateConsumer(t.Context(), "OUTBOX", jetstream.ConsumerConfig{Durable: durable, AckPolicy: jetstream.AckExplicitPolicy})
		must(t, err)
	}
	for args, want := range map[string]string{
		"dlq list --by sh":     "shipping\nshop\n",
		"status --source-name": "shop\n",
		"status --stream OUTB": "OUTBOX\nOUTBOX_DLQ\n",
		"check -o":             "text\njson\n",
		"run --log-level":      "debug\ninfo\nwarn\nerror\n",
	} {
		list := append([]string{"__complete"}, strings.Fields(args)...)
		if len(strings.Fields(args)) == 2 || args == "check -o" {
			list = append(list, "")
		}
		if _, out, errs := do(nil, list...); !strings.HasPrefix(out, want+":") {
			t.Errorf("%s: %s%s", args, out, errs)
		}
	}
}
