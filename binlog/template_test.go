package binlog

import (
	"strings"
	"testing"
)

func TestTemplates(t *testing.T) {
	for s, want := range map[string]string{
		"${aggregatetype}.${type}": "x.x",
		"orders":                   "orders",
		"a.$${b}":                  "a.${b}",
		"${a b}-$$-${c}":           "x-$-x",
		"":                         "empty",
		"${a":                      "without its }",
		"${}":                      "without a name",
		"$a":                       "$$ for a dollar sign",
		"a$":                       "$$ for a dollar sign",
		"${a`b}":                   "no column name may hold",
	} {
		got, err := parseTemplate(s)
		if err != nil && !strings.Contains(err.Error(), want) || err == nil && got.example() != want {
			t.Errorf("%q: %v, %v, want %q", s, got, err, want)
		}
	}
}

func TestTemplatesOfTopicsAndKeys(t *testing.T) {
	for s, want := range map[string]string{"${a}.${b}": "", "a": "", ".${a}": "empty token", "${a}..${b}": "empty token", "${a} b": "white space", "${a}.>": "wildcard", "${a": "without"} {
		if err := CheckTopicTemplate(s); err == nil != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("topic %q: %v, want %q", s, err, want)
		}
	}
	for s, want := range map[string]string{"${a}/${b}": "", "k": "names no column", "${a}\n": "line break", " ${a}": "white space"} {
		if err := CheckKeyTemplate(s); err == nil != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("key %q: %v, want %q", s, err, want)
		}
	}
}

func TestHeaderColumns(t *testing.T) {
	list, err := parseHeaderColumns([]string{"tenant", "type:eventType", "note?", "a b?:X-A"})
	want := []headerColumn{{"tenant", "tenant", false}, {"type", "eventType", false}, {"note", "note", true}, {"a b", "X-A", true}}
	if err != nil || len(list) != len(want) {
		t.Fatalf("%+v, %v", list, err)
	}
	for i := range want {
		if list[i] != want[i] {
			t.Errorf("got %+v, want %+v", list[i], want[i])
		}
	}
	for _, tt := range []struct{ list, want string }{
		{"x:Outbox-Id", "reserved"}, {"x:nats-ttl", "reserved"}, {"a b", "more than letters"}, {":x", "without a name"}, {"x:a,y:A", "same header"}, {"`", "no column name"},
	} {
		if err := CheckHeaderColumns(strings.Split(tt.list, ",")); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.list, err, tt.want)
		}
	}
}

func TestMappingFaults(t *testing.T) {
	_, err := New(Config{Addr: "a:1", User: "u", Tables: []string{"s.t"}, BinaryUUID: "random", ContentType: "a\nb", Headers: []string{"x:Outbox-Id"},
		Columns: Columns{Topic: "topic", Payload: "p", Tracing: "P?"}, Route: Route{Topic: "${a", Key: "k"}})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"Columns.Topic", "Columns.Payload and Columns.Tracing", "Route.Topic", "Route.Key", "Headers", "ContentType", "BinaryUUID"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no word of %s in:\n%v", want, err)
		}
	}
}
