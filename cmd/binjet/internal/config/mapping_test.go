package config

import (
	"reflect"
	"strings"
	"testing"

	"github.com/binjet/binjet/binlog"
)

// mapped is what a configuration makes of a table.
func mapped(t *testing.T, yaml string, environ ...string) binlog.Mapping {
	t.Helper()
	s := load(t, Input{File: write(t, "f.yaml", yaml), Environ: append(environ, "BINJET_SOURCE_DSN="+dsn)}).Source
	return binlog.Mapping{Columns: binlog.Columns(s.Columns), Route: binlog.Route(s.Route), Headers: s.Headers, ContentType: s.ContentType}
}

func TestPresets(t *testing.T) {
	if got := mapped(t, "source: {preset: debezium}"); !reflect.DeepEqual(got, binlog.Debezium()) {
		t.Errorf("got  %+v\nwant %+v", got, binlog.Debezium())
	}
	got := mapped(t, "source: {preset: binjet}")
	if want := (binlog.Mapping{Columns: binlog.Columns(DefaultColumns())}); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestOwnKeysOverrideThePreset(t *testing.T) {
	for name, tt := range map[string]struct {
		yaml   string
		change func(*binlog.Mapping)
	}{
		"route": {"route: {topic: '${aggregatetype}', key: '${type}/${aggregateid}'}", func(m *binlog.Mapping) {
			m.Route = binlog.Route{Topic: "${aggregatetype}", Key: "${type}/${aggregateid}"}
			m.Columns.Key = "-"
		}},
		"column of topic": {"columns: {topic: type}", func(m *binlog.Mapping) { m.Route.Topic, m.Columns.Topic = "", "type" }},
		"no key":          {"columns: {key: '-', tracing: '-'}", func(m *binlog.Mapping) { m.Columns.Key, m.Columns.Tracing = "-", "-" }},
		"headers":         {"headers: [tenant, type:eventType]", func(m *binlog.Mapping) { m.Headers = []string{"tenant", "type:eventType"} }},
		"no headers":      {"headers: []", func(m *binlog.Mapping) { m.Headers = nil }},
		"content type":    {"content_type: avro/binary", func(m *binlog.Mapping) { m.ContentType = "avro/binary" }},
		"no content type": {"content_type: '-'", func(m *binlog.Mapping) { m.ContentType = "" }},
		"created_at":      {"columns: {created_at: ts}", func(m *binlog.Mapping) { m.Columns.CreatedAt = "ts" }},
	} {
		want := binlog.Debezium()
		tt.change(&want)
		if got := mapped(t, "source:\n  preset: debezium\n  "+tt.yaml+"\n"); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got\n%+v, want\n%+v", name, got, want)
		}
	}
	if got := mapped(t, "", "BINJET_SOURCE_HEADERS=tenant, type:eventType", "BINJET_SOURCE_ROUTE_TOPIC=${a}.${b}"); got.Headers[1] != "type:eventType" || got.Route.Topic != "${a}.${b}" || got.Columns.Topic != "-" {
		t.Errorf("by the environment: %+v", got)
	}
}

func TestMappingFaults(t *testing.T) {
	got := strings.Join(faults(t, Input{File: write(t, "f.yaml", `
source:
  preset: maxwell
  columns: {topic: topic, payload: body, tracing: "BODY?"}
  route: {topic: "${aggregatetype}.${type", key: shop}
  headers: ["x:Outbox-Id"]
  content_type: "a\nb"
  binary_uuid: mixed
`), Environ: []string{"BINJET_SOURCE_DSN=" + dsn}}), "\n")
	for _, want := range []string{"source.preset", "neither binjet nor debezium", "source.columns.topic", "source.route.topic are both set", "source.columns.tracing", "source.route.topic (", "without its }",
		"source.route.key", "names no column", "source.headers", "reserved", "source.content_type", "source.binary_uuid"} {
		if !strings.Contains(got, want) {
			t.Errorf("no word of %s in:\n%s", want, got)
		}
	}
}
