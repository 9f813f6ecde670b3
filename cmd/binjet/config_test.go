package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/binjet/binjet/cmd/binjet/internal/config"
)

func configFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "binjet.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// The page is what the struct tags say.
func TestConfigurationPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	if code, out, errs := do(nil, "config", "docs"); code != 0 || out != string(page) {
		t.Errorf("docs/configuration.md is not what the keys say (exit %d %s): run go generate ./cmd/binjet", code, errs)
	}
}

func TestConfigPrint(t *testing.T) {
	file := configFile(t, "source: {dsn: 'app:s3cret@tcp(db)/shop'}\nlog: {level: warn}\n")
	code, out, errs := do([]string{"BINJET_NATS_TOKEN=s3cret"}, "config", "print", "-c", file, "--set", "--stream", "S")
	want := `source.name  shop                             the DSN's database
source.dsn   app:[redacted]@tcp(db:3306)/shop ` + file + `:1
nats.token   [redacted]                       BINJET_NATS_TOKEN
stream.name  S                                --stream
log.level    warn                             ` + file + `:2
`
	if strings.Join(strings.Fields(out), " ") != strings.Join(strings.Fields(want), " ") || code != 0 || errs != "" {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	_, out, _ = do([]string{"BINJET_NATS_TOKEN=s3cret"}, "config", "print", "-c", file, "-o", "json")
	var got effective
	if err := json.Unmarshal([]byte(out), &got); err != nil || got.File != file || len(got.Keys) != len(config.Keys()) || strings.Contains(out, "s3cret") {
		t.Errorf("%v: %s", err, out)
	}
	if code, out, errs := do([]string{"BINJET_LOG_LEVEL=loud"}, "config", "print"); code != 2 || out != "" || !strings.Contains(errs, "log.level") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
}

func TestConfigValidate(t *testing.T) {
	good := configFile(t, "source: {dsn_file: /absent}\n")
	bad := configFile(t, "log:\n  level: loud\n  colour: red\nnats: {token: s3cret, token_file: x}\n")
	for name, test := range map[string]struct {
		args []string
		code int
		out  []string
	}{
		"file only":       {[]string{"-c", good, "--file-only"}, 0, []string{good + " is valid\n"}},
		"as run":          {[]string{"-c", good}, 2, []string{good + ":1:20: source.dsn_file: can't be read", "\n1 fault\n"}},
		"no file":         {nil, 0, []string{"no file was read"}},
		"faults":          {[]string{"-c", bad}, 2, []string{bad + ":2:10: log.level: \"loud\" is none of", bad + ":3:3: unknown key log.colour", bad + ":4:35: nats.token_file: and nats.token are both set", "3 faults\n"}},
		"faults as JSON":  {[]string{"-c", bad, "-o", "json"}, 2, []string{`"valid": false`, `"line": 2,`, `"column": 10,`, `"key": "log.level"`}},
		"nothing as JSON": {[]string{"-o", "json"}, 0, []string{`"valid": true`, `"faults": []`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			code, out, errs := do(nil, append([]string{"config", "validate"}, test.args...)...)
			if code != test.code || errs != "" || strings.Contains(out, "s3cret") {
				t.Errorf("exit %d: %s", code, errs)
			}
			for _, want := range test.out {
				if !strings.Contains(out, want) {
					t.Errorf("no %q in:\n%s", want, out)
				}
			}
		})
	}
}

// Every key is in the schema, with its type, and nothing else is allowed anywhere.
func TestConfigSchema(t *testing.T) {
	code, out, errs := do(nil, "config", "schema")
	type node struct {
		Type                 any
		Enum                 []string
		Default              any
		Description          string
		AdditionalProperties *bool
		Properties           map[string]*node
	}
	var root node
	if err := json.Unmarshal([]byte(out), &root); err != nil || code != 0 || errs != "" {
		t.Fatalf("exit %d %v %s", code, err, errs)
	}
	leaves := 0
	var count func(string, *node)
	count = func(name string, n *node) {
		if n.Properties == nil {
			leaves++
			return
		}
		if n.AdditionalProperties == nil || *n.AdditionalProperties {
			t.Errorf("%s takes any key", name)
		}
		for key, below := range n.Properties {
			count(key, below)
		}
	}
	count("the file", &root)
	if leaves != len(config.Keys()) {
		t.Errorf("%d leaves for %d keys", leaves, len(config.Keys()))
	}
	for _, k := range config.Keys() {
		n := &root
		for part := range strings.SplitSeq(k.Name, ".") {
			if n = n.Properties[part]; n == nil {
				t.Fatalf("%s is missing", k.Name)
			}
		}
		if !strings.HasPrefix(n.Description, k.Help) || len(n.Enum) != len(k.Enum) || (n.Default != nil) != (k.Default != "") || n.Type == nil {
			t.Errorf("%s: %+v", k.Name, n)
		}
	}
}

func TestConfigNeedsAWord(t *testing.T) {
	if code, _, errs := do(nil, "config"); code != 2 || !strings.Contains(errs, "name one of print, validate and schema") {
		t.Errorf("exit %d: %s", code, errs)
	}
}
