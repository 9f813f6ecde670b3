package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// yamlReader walks the syntax tree of the file rather than decoding it into a
// struct, because a decoder stops at the first unknown key.
type yamlReader struct {
	l        *loader
	path     string
	keys     map[string]Key
	sections map[string]bool // "source", "source.tls", …
}

func (l *loader) yaml(path string, data []byte) {
	r := &yamlReader{l: l, path: path, keys: make(map[string]Key), sections: make(map[string]bool)}
	for _, k := range l.keys {
		r.keys[k.Name] = k
		for name := k.Name; strings.Contains(name, "."); {
			name = name[:strings.LastIndex(name, ".")]
			r.sections[name] = true
		}
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		l.faults = append(l.faults, noYAML(path, err))
		return
	}
	documents := 0
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if documents++; documents > 1 {
			r.fault(doc.Body, "a second document begins: write one only")
			return
		}
		r.section("", doc.Body)
	}
}

// noYAML is the fault of a file that can't be parsed, without the parser's excerpt
// of the source, which may hold a secret.
func noYAML(path string, err error) Fault {
	f := Fault{Where: path, Problem: "is no YAML: " + strings.TrimSpace(yaml.FormatError(err, false, false))}
	var syntax yaml.Error
	if errors.As(err, &syntax) && syntax.GetToken() != nil {
		at := syntax.GetToken().Position
		f.Where, f.Place = fmt.Sprintf("%s:%d", path, at.Line), Place{at.Line, at.Column}
		f.Problem = "is no YAML: " + syntax.GetMessage()
	}
	return f
}

func (r *yamlReader) at(n ast.Node) origin {
	at := n.GetToken().Position
	return origin{rank: byFile, text: fmt.Sprintf("%s:%d", r.path, at.Line), Place: Place{at.Line, at.Column}}
}

func (r *yamlReader) fault(n ast.Node, format string, args ...any) {
	at := r.at(n)
	r.l.faults = append(r.l.faults, Fault{Where: at.text, Place: at.Place, Problem: fmt.Sprintf(format, args...)})
}

// section reads the mapping of name, "" being the whole file.
func (r *yamlReader) section(name string, n ast.Node) {
	switch n := n.(type) {
	case *ast.MappingNode:
		for _, entry := range n.Values {
			r.entry(name, entry)
		}
	case *ast.MappingValueNode:
		r.entry(name, n)
	case *ast.NullNode: // "source:" with nothing below it
	default:
		what := "the file"
		if name != "" {
			what = name
		}
		r.fault(n, "%s is no block of keys (key: value)", what)
	}
}

func (r *yamlReader) entry(section string, n *ast.MappingValueNode) {
	name := n.Key.GetToken().Value
	if section != "" {
		name = section + "." + name
	}
	switch k, known := r.keys[name]; {
	case known:
		r.value(k, n.Value)
	case r.sections[name]:
		r.section(name, n.Value)
	default:
		r.unknown(name, section, n)
	}
}

func (r *yamlReader) unknown(name, section string, n *ast.MappingValueNode) {
	if strings.ContainsAny(name, " \t\n") { // "token s3cret", which must not be shown
		r.fault(n.Key, "a key of %s has white space in it: is a colon missing?", or(section, "the file"))
		return
	}
	var siblings []string
	for _, candidates := range []map[string]bool{r.sections, keySet(r.keys)} {
		for c := range candidates {
			parent := ""
			if i := strings.LastIndex(c, "."); i >= 0 {
				parent = c[:i]
			}
			if parent == section {
				siblings = append(siblings, c)
			}
		}
	}
	if near := suggest(name, sorted(siblings)); near != "" {
		r.fault(n.Key, "unknown key %s: did you mean %s?", name, near)
		return
	}
	r.fault(n.Key, "unknown key %s: %s may be %s", name, or(section, "the file"), strings.Join(sorted(lastParts(siblings)), ", "))
}

// value sets k from a scalar or, for a list key, from a sequence of scalars.
func (r *yamlReader) value(k Key, n ast.Node) {
	from := r.at(n)
	if list, ok := n.(*ast.SequenceNode); ok && k.List {
		var items []string
		for _, item := range list.Values {
			text, ok := r.scalar(k, item)
			if !ok {
				return
			}
			items = append(items, text)
		}
		r.l.setList(k, items, from)
		return
	}
	if _, null := n.(*ast.NullNode); null {
		return // "name:" with nothing behind it leaves the default
	}
	if text, ok := r.scalar(k, n); ok {
		r.l.set(k, text, from)
	}
}

// scalar is the text of a plain value, unquoted and as it was written.
func (r *yamlReader) scalar(k Key, n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.TagNode:
		return r.scalar(k, n.Value)
	case *ast.LiteralNode:
		return strings.TrimRight(n.Value.Value, "\n"), true
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	case *ast.AnchorNode, *ast.AliasNode:
		r.fault(n, "%s uses an anchor or an alias: write the value itself", k.Name)
	case *ast.SequenceNode, *ast.MappingNode, *ast.MappingValueNode:
		r.fault(n, "%s takes a single value", k.Name)
	default:
		r.fault(n, "%s has a value that can't be used", k.Name)
	}
	return "", false
}
