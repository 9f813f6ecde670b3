package config

import (
	"strconv"
	"strings"
)

// SchemaID names the schema of this version's keys.
const SchemaID = "https://github.com/binjet/binjet/binjet.schema.json"

// Schema is the JSON Schema (2020-12) of the file, for editors. It takes what the
// usual spelling of YAML makes of each value, so it is a little stricter than [Load],
// which also takes a list as one text with commas, or a quoted number. What depends
// on more than one key it can't tell; `binjet config validate` can.
func Schema() map[string]any {
	root := section()
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["$id"] = SchemaID
	root["title"] = "binjet.yaml"
	root["description"] = "Configuration of binjet. Every key is also an environment variable: source.dsn is BINJET_SOURCE_DSN."
	for _, k := range Keys() {
		at := root
		parts := strings.Split(k.Name, ".")
		for _, name := range parts[:len(parts)-1] {
			below := at["properties"].(map[string]any)
			if below[name] == nil {
				below[name] = section()
			}
			at = below[name].(map[string]any)
		}
		at["properties"].(map[string]any)[parts[len(parts)-1]] = k.schema()
	}
	return root
}

// section is a block of keys; null is one with nothing below it.
func section() map[string]any {
	return map[string]any{"type": []string{"object", "null"}, "additionalProperties": false, "properties": map[string]any{}}
}

// Patterns of what is written as a number and a unit.
const (
	durationPattern = `^[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h))*$|^0$`
	sizePattern     = `^[0-9]+(\.[0-9]+)? *([Kk][Ii]?|[Mm][Ii]?|[Gg][Ii]?)?[Bb]?$`
)

func (k Key) schema() map[string]any {
	s := map[string]any{"description": k.describe()}
	switch k.Type {
	case Bool:
		s["type"] = "boolean"
	case Number:
		s["type"], s["minimum"] = "integer", 0
	case Part:
		s["type"], s["minimum"], s["maximum"] = "number", 0, 1
	case Duration:
		s["type"], s["pattern"] = "string", durationPattern
	case Size:
		s["type"], s["pattern"] = []string{"string", "integer"}, sizePattern
	case List:
		s["type"], s["items"] = []string{"array", "string"}, map[string]any{"type": "string"}
	default:
		s["type"] = "string"
	}
	if len(k.Enum) > 0 {
		s["enum"] = k.Enum
	}
	if k.Default != "" {
		s["default"] = k.defaultValue()
	}
	return s
}

// describe is the help, the danger and what else an editor shows of a key.
func (k Key) describe() string {
	text := k.Help
	if k.Danger != "" {
		text += ". Danger: " + k.Danger
	}
	return text + " (" + k.Env + ")"
}

// defaultValue is the default in the type of the schema.
func (k Key) defaultValue() any {
	switch k.Type {
	case Bool:
		return k.Default == "true"
	case Number:
		if n, err := strconv.Atoi(k.Default); err == nil {
			return n
		}
	case Part:
		if n, err := strconv.ParseFloat(k.Default, 64); err == nil {
			return n
		}
	case List:
		return splitList(k.Default)
	}
	return k.Default
}
