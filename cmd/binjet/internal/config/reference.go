package config

import (
	"fmt"
	"slices"
	"strings"
)

// Note is what is true of all keys, for people.
func Note() string {
	return fmt.Sprintf(`A value is taken from the first of these that sets it: a flag, an environment
variable, the YAML file (-c, %s, or ./%s), the default.

The variable of a key is its name in upper case: source.dsn is BINJET_SOURCE_DSN.
Lists are separated by commas. Durations are written as 500ms, 2s or 1m, sizes as
16MiB. Unknown keys and unknown BINJET_ variables are errors, but for those that
begin with BINJET_TEST_, BINJET_DEMO_, BINJET_MYSQL_ or BINJET_MARIADB_ or end in _IMAGE, and those that
Kubernetes makes up for services (BINJET_SERVICE_HOST, BINJET_PORT, …).

Secrets can stand in files of their own, by the keys that end in _file; one newline
at the end is not part of the secret. Such files, and certificates, are read again at
each connect.`, FileEnv, DefaultFile)
}

// Help is the reference of all keys for a terminal.
func Help() string {
	var b strings.Builder
	b.WriteString(Note() + "\n\n")
	for _, k := range Keys() {
		fmt.Fprintf(&b, "  %s (%s)", k.Name, strings.Join(k.facts(), ", "))
		fmt.Fprintf(&b, "\n      %s\n", k.Help)
		if k.Danger != "" {
			fmt.Fprintf(&b, "      danger: %s\n", k.Danger)
		}
	}
	return strings.TrimRight(b.String(), "\n")
}

// kind is the type in words.
func (k Key) kind() string {
	switch {
	case len(k.Enum) > 0:
		return strings.Join(k.Enum, " | ")
	case k.Type == Number:
		return "number: " + k.Unit
	case k.Secret:
		return string(k.Type) + ", secret"
	}
	return string(k.Type)
}

// facts are the type, the default and the flag, in words.
func (k Key) facts() []string {
	list := []string{k.kind()}
	if k.Default != "" {
		list = append(list, "default "+k.Default)
	}
	if k.Flag != "" {
		list = append(list, "--"+k.Flag)
	}
	if k.Reload {
		list = append(list, "by SIGHUP")
	}
	return list
}

// Markdown is docs/configuration.md.
func Markdown() string {
	var b strings.Builder
	b.WriteString(`# Configuration

<!-- Generated from the struct tags of cmd/binjet/internal/config: go generate ./cmd/binjet -->

` + Note() + `

| command | |
|---|---|
| ` + "`binjet config print`" + ` | what each key is set to here, and by what; secrets are hidden |
| ` + "`binjet config validate`" + ` | all that is wrong, with file, line and column; nothing is connected to. ` + "`--file-only`" + ` looks at the file alone, as in CI |
| ` + "`binjet config schema`" + ` | JSON Schema for editors: ` + "`binjet config schema > binjet.schema.json`" + `, and ` + "`# yaml-language-server: $schema=binjet.schema.json`" + ` as the first line of the file |

` + "`binjet run`" + ` reads the file again on SIGHUP. It applies what is marked **SIGHUP** below, names
what else has changed and needs a restart, and changes nothing when the file has a fault. What a
variable or a flag sets stays as it is.

With Kubernetes, a secret's volume wants ` + "`defaultMode: 0440`" + `, with Docker Swarm a secret ` + "`mode: 0440`" + `: a file
that everybody can read is warned of.
`)
	for _, section := range sections() {
		fmt.Fprintf(&b, "\n## %s\n\n| key | value | default | |\n|---|---|---|---|\n", section)
		for _, k := range Keys() {
			if k.Section() == section {
				b.WriteString(k.row())
			}
		}
	}
	return b.String()
}

// sections are the blocks of the file, each once.
func sections() (list []string) {
	for _, k := range Keys() {
		if s := k.Section(); !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

func (k Key) row() string {
	kind := k.kind()
	if len(k.Enum) > 0 {
		kind = "`" + strings.Join(k.Enum, "`, `") + "`"
	}
	text := k.Help
	if k.Reload {
		text += ". **SIGHUP**"
	}
	if k.Danger != "" {
		text += ".<br>**Danger:** " + k.Danger
	}
	if k.Flag != "" {
		text += "<br>`--" + k.Flag + "`"
	}
	def := ""
	if k.Default != "" {
		def = "`" + k.Default + "`"
	}
	return fmt.Sprintf("| `%s` | %s | %s | %s |\n", k.Name, kind, def, strings.NewReplacer("|", `\|`, "<prefix>", "`<prefix>`").Replace(text))
}
