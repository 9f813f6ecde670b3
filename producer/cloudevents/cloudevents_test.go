package cloudevents

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/producer"
)

var at = time.Date(2031, 2, 3, 4, 5, 6, 7000, time.FixedZone("", 3600))

// row is what was inserted: a transaction that keeps the headers.
type row struct{ headers binjet.Headers }

func (r *row) ExecContext(_ context.Context, _ string, args ...any) (_ sql.Result, err error) {
	b, _ := args[3].([]byte)
	r.headers, err = binjet.DecodeHeaders(b)
	return nil, err
}

func insert(t *testing.T, cfg Config, m *binjet.Message) binjet.Headers {
	t.Helper()
	events, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	p, err := producer.New(producer.Config{Middleware: []producer.Middleware{events}, Now: func() time.Time { return at }})
	if err != nil {
		t.Fatal(err)
	}
	var tx row
	if err := p.Insert(t.Context(), &tx, m); err != nil {
		t.Fatal(err)
	}
	return tx.headers
}

func TestWrite(t *testing.T) {
	m := &binjet.Message{ID: "id-1", Topic: "orders.created", Key: "Euro € 😀", ContentType: "application/json", Payload: []byte("{}")}
	got := insert(t, Config{Source: "https://shop.example/orders?a=%20b"}, m)
	want := binjet.Headers{
		"ce-specversion": {"1.0"}, "ce-id": {"id-1"}, "ce-source": {"https://shop.example/orders?a=%2520b"}, "ce-type": {"orders.created"},
		"ce-time": {"2031-02-03T03:05:06.000007Z"}, "ce-subject": {"Euro%20%E2%82%AC%20%F0%9F%98%80"}, "ce-datacontenttype": {"application/json"},
		"Content-Type": {"application/json"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if m.Headers != nil {
		t.Error("the caller's message was changed")
	}
}

func TestWriteKeepsWhatIsSet(t *testing.T) {
	m := &binjet.Message{ID: "id-1", Topic: "a", Payload: []byte("1")}
	Extension("type", "my.type")(m)
	Extension("tenant1", `a "b"`)(m)
	got := insert(t, Config{
		Source:  "/s",
		Type:    func(m *binjet.Message) string { return "com.example." + m.Topic },
		Subject: func(*binjet.Message) string { return "" },
	}, m)
	want := binjet.Headers{
		"ce-specversion": {"1.0"}, "ce-id": {"id-1"}, "ce-source": {"/s"}, "ce-type": {"my.type"},
		"ce-time": {"2031-02-03T03:05:06.000007Z"}, "ce-tenant1": {"a%20%22b%22"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWriteLeavesStructuredMode(t *testing.T) {
	got := insert(t, Config{Source: "/s"}, &binjet.Message{Topic: "a", ContentType: "Application/CloudEvents+json", Payload: []byte("{}")})
	if len(got) != 1 {
		t.Errorf("got %q", got)
	}
}

func TestNewRefuses(t *testing.T) {
	for _, source := range []string{"", ":", "a#b"} {
		if _, err := New(Config{Source: source}); err == nil || !strings.Contains(err.Error(), "Source") {
			t.Errorf("source %q: %v", source, err)
		}
	}
	events, err := New(Config{Source: "/s", Type: func(m *binjet.Message) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	for name, m := range map[string]*binjet.Message{
		"lower-case":   {Headers: binjet.Headers{"Ce-Tenant": {"1"}}},
		"no attribute": {Headers: binjet.Headers{"ce-": {"1"}}},
		"type":         {},
	} {
		if err := events(t.Context(), m); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRead(t *testing.T) {
	m := &binjet.Message{ID: "1", Topic: "t", Key: "a b", ContentType: "x/y", Payload: []byte("1")}
	Extension("tenant", "é")(m)
	Extension("dataschema", "/schema")(m)
	m.Headers = insert(t, Config{Source: "/s"}, m)
	got, err := Read(m)
	want := Event{
		ID: "1", Source: "/s", SpecVersion: "1.0", Type: "t", Subject: "a b", Time: at.UTC(),
		DataContentType: "x/y", DataSchema: "/schema", Extensions: map[string]string{"tenant": "é"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestReadOfOthers(t *testing.T) {
	m := &binjet.Message{ContentType: "a/b", Headers: binjet.Headers{
		"CE-SpecVersion": {"1.0"}, "Ce-Id": {`"a \"quoted\" id"`}, "ce-source": {"%2fs"}, "ce-type": {"t"}, "other": {"%"},
	}}
	got, err := Read(m)
	want := Event{ID: `a "quoted" id`, Source: "/s", SpecVersion: "1.0", Type: "t", DataContentType: "a/b"}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestReadRefuses(t *testing.T) {
	if _, err := Read(&binjet.Message{}); !errors.Is(err, ErrNotEvent) {
		t.Errorf("got %v", err)
	}
	for header, want := range map[string]string{
		"ce-id:":             "attribute id is missing",
		"ce-specversion:0.3": `specversion is "0.3"`,
		"ce-time:tomorrow":   `time is "tomorrow"`,
		"Ce-Type:twice":      "attribute type is there more than once",
		"ce-x:%C0%A0":        "not valid UTF-8",
		"ce-x:%4":            "ends in the middle",
		"ce-x:%zz":           `"%zz" is no percent code`,
		`ce-x:"a`:            "no closing quote",
		`ce-x:"a"b`:          "behind its closing quote",
	} {
		m := &binjet.Message{Headers: binjet.Headers{"ce-specversion": {"1.0"}, "ce-id": {"1"}, "ce-source": {"/"}, "ce-type": {"t"}}}
		name, value, _ := strings.Cut(header, ":")
		m.Headers.Set(name, value)
		if _, err := Read(m); err == nil || !strings.Contains(err.Error(), want) || errors.Is(err, ErrNotEvent) {
			t.Errorf("%s: got %v, want %q", header, err, want)
		}
	}
}

func FuzzEncoding(f *testing.F) {
	for _, s := range []string{"", "a", "Euro € 😀", `"%20"`, "\x00\x7f", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d, err := decode(s); err == nil && !utf8.ValidString(d) {
			t.Errorf("%q is decoded to %q", s, d)
		}
		if !utf8.ValidString(s) {
			return
		}
		e := encode(s)
		if strings.ContainsFunc(e, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' }) {
			t.Errorf("%q is encoded as %q", s, e)
		}
		if d, err := decode(e); err != nil || d != s {
			t.Errorf("%q comes back as %q, %v", s, d, err)
		}
	})
}

func Example() {
	events, err := New(Config{Source: "/shop/orders"})
	if err != nil {
		panic(err)
	}
	outbox, err := producer.New(producer.Config{
		Middleware: []producer.Middleware{events},
		Now:        func() time.Time { return at },
	})
	if err != nil {
		panic(err)
	}
	var tx row // a *sql.Tx
	m := &binjet.Message{ID: "1", Topic: "orders.created", Key: "4711", ContentType: "application/json", Payload: []byte("{}")}
	if err := outbox.Insert(context.Background(), &tx, m); err != nil {
		panic(err)
	}
	for _, name := range tx.headers.Keys() {
		fmt.Printf("%s: %s\n", name, tx.headers.Get(name))
	}
	// Output:
	// Content-Type: application/json
	// ce-datacontenttype: application/json
	// ce-id: 1
	// ce-source: /shop/orders
	// ce-specversion: 1.0
	// ce-subject: 4711
	// ce-time: 2031-02-03T03:05:06.000007Z
	// ce-type: orders.created
}
