package config

import (
	"reflect"
	"slices"
	"strings"
	"time"
)

// EnvPrefix begins the name of every environment variable of binjet.
const EnvPrefix = "BINJET_"

// Key is one thing that can be set.
type Key struct {
	Name    string // source.dsn
	Env     string // BINJET_SOURCE_DSN
	Flag    string // dsn, or "" when there is none
	Default string
	Help    string
	Danger  string   // what goes wrong without care, or ""
	Type    Type     // how values are written
	Unit    string   // what a number counts
	Enum    []string // the only values, where there are some
	Secret  bool
	List    bool
	Reload  bool // SIGHUP changes it while the process runs

	index []int // of the field in Config
}

// Keys lists every key in the order of [Config].
func Keys() []Key { return keysOf(reflect.TypeFor[Config](), "", nil) }

func keysOf(t reflect.Type, prefix string, index []int) (keys []Key) {
	for i := range t.NumField() {
		f := t.Field(i)
		name := f.Tag.Get("key")
		if name == "-" {
			continue
		}
		at := append(slices.Clone(index), i)
		if f.Type.Kind() == reflect.Struct {
			keys = append(keys, keysOf(f.Type, prefix+name+".", at)...)
			continue
		}
		name = prefix + name
		keys = append(keys, Key{
			Name: name, Env: EnvPrefix + strings.ToUpper(strings.ReplaceAll(name, ".", "_")),
			Flag: f.Tag.Get("flag"), Default: f.Tag.Get("default"), Help: f.Tag.Get("help"),
			Danger: f.Tag.Get("danger"), Type: typeOf(f), Unit: f.Tag.Get("unit"), Enum: splitList(f.Tag.Get("enum")),
			Secret: f.Tag.Get("secret") == "true", List: f.Type.Kind() == reflect.Slice,
			Reload: f.Tag.Get("reload") == "true", index: at,
		})
	}
	return keys
}

// Section is what the key's name begins with, without its last part.
func (k Key) Section() string { return k.Name[:strings.LastIndex(k.Name, ".")] }

// Type is how the values of a key are written.
type Type string

// The types. Whatever else a key may be is a text.
const (
	Text     Type = "text"
	Path     Type = "path"
	Bool     Type = "true or false"
	Number   Type = "number"
	Duration Type = "duration"
	Size     Type = "size"
	Part     Type = "0 to 1"
	List     Type = "list"
)

func typeOf(f reflect.StructField) Type {
	switch reflect.Zero(f.Type).Interface().(type) {
	case bool:
		return Bool
	case int, uint32:
		return Number
	case time.Duration:
		return Duration
	case Bytes:
		return Size
	case Share:
		return Part
	case []string:
		return List
	}
	if f.Tag.Get("type") == "path" {
		return Path
	}
	return Text
}

// suggest returns the key that name may be a misspelling of, or "".
func suggest(name string, candidates []string) string {
	best, bestDistance := "", 3 // more than two edits is another word
	for _, c := range candidates {
		if d := distance(name, c); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// distance is the number of edits (Levenshtein) between a and b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
