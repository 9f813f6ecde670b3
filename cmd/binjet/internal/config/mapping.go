package config

import (
	"slices"
	"strings"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/binlog"
)

// Designs of outbox tables.
const (
	PresetBinjet   = "binjet"
	PresetDebezium = "debezium"
)

// PresetColumns are the columns of a preset, those of the table that binjet init
// makes for it.
func PresetColumns(preset string) Columns { return Columns(presetMapping(preset).Columns) }

// DefaultColumns are those of the table that binjet creates by default.
func DefaultColumns() Columns { return PresetColumns(PresetBinjet) }

func presetMapping(preset string) binlog.Mapping {
	if preset == PresetDebezium {
		return binlog.Debezium()
	}
	return binlog.Mapping{Columns: binlog.Columns{ID: binjet.ColumnID, Topic: binjet.ColumnTopic, Key: binjet.ColumnKey, Headers: binjet.ColumnHeaders,
		Payload: binjet.ColumnPayload, CreatedAt: binjet.ColumnCreatedAt, Tracing: binlog.NoColumn}}
}

// mappedColumn is one key of source.columns.
type mappedColumn struct {
	key      string
	name     *string
	preset   string
	optional bool    // may be -
	route    *string // template that may take its place
	routed   string  // its preset
}

func (l *loader) mappedColumns() []mappedColumn {
	s := &l.cfg.Source
	c, p := &s.Columns, presetMapping(s.Preset)
	return []mappedColumn{
		{key: "id", name: &c.ID, preset: p.Columns.ID},
		{key: "topic", name: &c.Topic, preset: p.Columns.Topic, route: &s.Route.Topic, routed: p.Route.Topic},
		{key: "key", name: &c.Key, preset: p.Columns.Key, optional: true, route: &s.Route.Key, routed: p.Route.Key},
		{key: "headers", name: &c.Headers, preset: p.Columns.Headers, optional: true},
		{key: "payload", name: &c.Payload, preset: p.Columns.Payload},
		{key: "created_at", name: &c.CreatedAt, preset: p.Columns.CreatedAt, optional: true},
		{key: "tracing", name: &c.Tracing, preset: p.Columns.Tracing, optional: true},
	}
}

const (
	columnKeys = "source.columns."
	routeKeys  = "source.route."
)

// applyPreset fills in what was not set. Of a column and the template that takes
// its place the one that was set wins over the preset's other.
func (l *loader) applyPreset() {
	s := &l.cfg.Source
	p := presetMapping(s.Preset)
	for _, c := range l.mappedColumns() {
		own := l.isSet(columnKeys + c.key)
		routed := c.route != nil && l.isSet(routeKeys+c.key)
		switch {
		case own:
		case routed:
			*c.name = binlog.NoColumn
		default:
			*c.name = c.preset
		}
		if c.route != nil && !routed && (!own || *c.name == binlog.NoColumn) {
			*c.route = c.routed
		}
	}
	if !l.isSet("source.headers") {
		s.Headers = slices.Clone(p.Headers)
	}
	switch {
	case !l.isSet("source.content_type"):
		s.ContentType = p.ContentType
	case s.ContentType == binlog.NoColumn:
		s.ContentType = ""
	}
}

// validateMapping mirrors the rules of package binlog, by the names of the keys.
func (l *loader) validateMapping() {
	s := &l.cfg.Source
	presets := []string{PresetBinjet, PresetDebezium}
	l.faultIf(!slices.Contains(presets, s.Preset), "source.preset", "%q is neither binjet nor debezium", s.Preset)
	seen := make(map[string]string)
	for _, c := range l.mappedColumns() {
		l.validateColumn(c, seen)
	}
	if s.Route.Topic != "" {
		l.faultOf("source.route.topic", binlog.CheckTopicTemplate(s.Route.Topic))
	}
	if s.Route.Key != "" {
		l.faultOf("source.route.key", binlog.CheckKeyTemplate(s.Route.Key))
	}
	l.faultOf("source.headers", binlog.CheckHeaderColumns(s.Headers))
	l.faultOf("source.content_type", binjet.CheckHeader(binjet.HeaderContentType, s.ContentType))
	l.faultIf(s.BinaryUUID != binlog.UUIDStandard && s.BinaryUUID != binlog.UUIDSwapped, "source.binary_uuid", "%q is neither standard nor swapped", s.BinaryUUID)
}

func (l *loader) validateColumn(c mappedColumn, seen map[string]string) {
	key, name := columnKeys+c.key, *c.name
	routed := c.route != nil && *c.route != ""
	switch {
	case name == "":
		l.fault(key, "is empty: name a column")
		return
	case name == binlog.NoColumn:
		l.faultIf(!c.optional && !routed, key, "can't be left out: every message needs it")
		return
	case strings.ContainsAny(name, "`\x00"):
		l.fault(key, "%q holds a character that no column name may hold", name)
	case routed:
		l.fault(key, "and %s%s are both set: set one of them", routeKeys, c.key)
	}
	low := strings.ToLower(strings.TrimSuffix(name, "?"))
	l.faultIf(seen[low] != "", key, "and %s are both %q", seen[low], name)
	seen[low] = key
}

// faultOf notes err, if there is one.
func (l *loader) faultOf(key string, err error) {
	if err != nil {
		l.fault(key, "is wrong: %s", err)
	}
}
