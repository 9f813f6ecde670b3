package security

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// configSchema is what editors get.
func configSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(env{}.ok(t, "config", "schema")))
	must(t, err)
	c := jsonschema.NewCompiler()
	must(t, c.AddResource("binjet.schema.json", doc))
	schema, err := c.Compile("binjet.schema.json")
	must(t, err)
	return schema
}

// TestDocumentedConfigurations: every YAML of the README and the docs that is one of
// ours is taken by the schema and by the command.
func TestDocumentedConfigurations(t *testing.T) {
	t.Parallel()
	schema := configSchema(t)
	pages, err := filepath.Glob("../../docs/*.md")
	must(t, err)
	found := 0
	for _, page := range append(pages, "../../README.md") {
		text, err := os.ReadFile(page)
		must(t, err)
		for n, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
			if !regexp.MustCompile(`(?m)^(source|nats|stream|relay|http|log):`).MatchString(block[1]) {
				continue // a manifest of something else
			}
			found++
			t.Run(fmt.Sprintf("%s %d", filepath.Base(page), n), func(t *testing.T) {
				if err := valid(schema, block[1]); err != nil {
					t.Errorf("%v\n%s", err, block[1])
				}
				env{}.ok(t, "config", "validate", "--file-only", "-c", secretFile(t, block[1]))
			})
		}
	}
	if found == 0 {
		t.Error("no page has a configuration")
	}
}

// TestSchemaAgrees: what the schema takes the command takes, and what it refuses is
// refused, or only spelled in a way that editors need not know.
func TestSchemaAgrees(t *testing.T) {
	t.Parallel()
	schema := configSchema(t)
	for text, good := range map[string]bool{
		"source: {heartbeat: 1m30s, server_id: 7, tables: [a, b.c], start: latest}": true,
		"source: {max_transaction_bytes: 1.5GiB, failover_wait: 0s}":                true,
		"source: {max_transaction_bytes: 65536}":                                    true,
		"source: {tables: outbox}":                                                  true,
		"source:":                                                                   true,
		"stream: {manage: false, replicas: 3}":                                      true,
		"source: {heartbeat: 5}":                                                    false,
		"source: {heartbeat: soon}":                                                 false,
		"source: {max_transaction_bytes: much}":                                     false,
		"source: {on_gap: ignore}":                                                  false,
		"source: {tabels: [a]}":                                                     false,
		"stream: {manage: on}":                                                      false,
		"stream: {replicas: many}":                                                  false,
		"stream: {partitions: -1}":                                                  false,
		"nats: {tls: {ca: a, verify: false}}":                                       false,
		"log: {level: loud}":                                                        false,
		"colour: red":                                                               false,
	} {
		if err := valid(schema, text); (err == nil) != good {
			t.Errorf("the schema on %q: %v", text, err)
		}
		if code, out := (env{}).run(t, patience, "config", "validate", "--file-only", "-c", secretFile(t, text)); (code == 0) != good {
			t.Errorf("the command on %q: %s", text, out)
		}
	}
}

func valid(schema *jsonschema.Schema, text string) error {
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		return err
	}
	return schema.Validate(v)
}
