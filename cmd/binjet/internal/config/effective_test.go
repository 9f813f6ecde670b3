package config

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestEffective(t *testing.T) {
	file := write(t, "f.yaml", "stream: {name: FILE, replicas: 3}\nnats: {url: [\"nats://u:s3cret@a:4222\", s3cret@b]}\n")
	_, values, err := Effective(Input{File: file, Environ: []string{"BINJET_SOURCE_DSN=" + dsn + "?tls=true", "BINJET_STREAM_NAME=ENV", "BINJET_NATS_TOKEN=s3cret"},
		Flags: map[string]string{"log-level": "debug"}})
	if err != nil {
		t.Fatal(err)
	}
	byKey := make(map[string]Value)
	for _, v := range values {
		byKey[v.Key] = v
	}
	if len(byKey) != len(Keys()) {
		t.Errorf("%d of %d keys", len(byKey), len(Keys()))
	}
	for _, want := range []Value{
		{"source.dsn", "app:[redacted]@tcp(db:3307)/shop", "environment", "BINJET_SOURCE_DSN"},
		{"source.name", "shop", "derived", "the DSN's database"},
		{"stream.name", "ENV", "environment", "BINJET_STREAM_NAME"},
		{"stream.replicas", 3, "file", file + ":1"},
		{"nats.url", []string{"nats://a:4222", "nats://b"}, "file", file + ":2"},
		{"nats.token", "[redacted]", "environment", "BINJET_NATS_TOKEN"},
		{"nats.password", "", "default", ""},
		{"log.level", "debug", "flag", "--log-level"},
		{"source.heartbeat", "2s", "default", ""},
		{"source.max_transaction_bytes", "16MiB", "default", ""},
		{"stream.manage", true, "default", ""},
	} {
		if got := byKey[want.Key]; !reflect.DeepEqual(got, want) {
			t.Errorf("got %#v, want %#v", got, want)
		}
	}
	text, err := json.Marshal(values)
	if err != nil || strings.Contains(string(text), "s3cret") {
		t.Errorf("%v: %s", err, text)
	}
}

// A check of the file alone asks for nothing that is elsewhere, and takes nothing from there.
func TestFileOnly(t *testing.T) {
	good := write(t, "f.yaml", "source: {dsn_file: /absent, tls: {ca: /absent, cert: /absent, key: /absent}}\nnats: {user: u, password_file: /absent}\n")
	c := load(t, Input{File: good, FileOnly: true, Environ: []string{"BINJET_STREAM_NAME=a b"}, Flags: map[string]string{"log-level": "x"}})
	if c.Stream.Name != "OUTBOX" {
		t.Errorf("stream %q", c.Stream.Name)
	}
	bad := write(t, "f.yaml", "nats: {creds: /absent, token_file: /absent}\nsource:\n  heartbeat: soon\n  name: \"a b\"\n")
	got := strings.Join(faults(t, Input{File: bad, FileOnly: true}), "\n")
	for _, want := range []string{"nats.creds", "source.heartbeat (" + bad + ":3)", "source.name"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
}

// Faults come with the place, for editors and programs.
func TestFaultsHavePlaces(t *testing.T) {
	file := write(t, "f.yaml", "log:\n  level: loud\nstuff: 1\n")
	_, err := Load(Input{File: file, Offline: true})
	want := []Fault{
		{Key: "log.level", Where: file + ":2", Place: Place{2, 10}, Problem: `"loud" is none of debug, info, warn and error`},
		{Where: file + ":3", Place: Place{3, 1}, Problem: "unknown key stuff"},
	}
	got := err.(*Error).Faults
	got[1].Problem, _, _ = strings.Cut(got[1].Problem, ":") // and what it may be
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %#v", got)
	}
	_, err = Load(Input{File: write(t, "f.yaml", "log:\n\t- x: [\n"), Offline: true})
	if got := err.(*Error).Faults[0]; got.Line == 0 || !strings.HasPrefix(got.Problem, "is no YAML") {
		t.Errorf("%#v", got)
	}
}
