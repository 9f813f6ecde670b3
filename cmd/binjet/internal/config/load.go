package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"strings"
)

// DefaultFile is read when no other file is named and it exists.
const DefaultFile = "binjet.yaml"

// FileEnv is the environment variable that names the file, as -c does.
const FileEnv = EnvPrefix + "CONFIG"

// Input is where the configuration comes from besides the defaults.
type Input struct {
	// File is the YAML file. Default: the value of [FileEnv], else [DefaultFile]
	// when it exists.
	File string
	// Environ are all environment variables, as os.Environ returns them.
	Environ []string
	// Flags are the values of flags that were given, by the name of the flag.
	Flags map[string]string
	// Offline says that nothing will be connected to, so a DSN need not be given.
	Offline bool
}

// Error is every fault of a configuration.
type Error struct{ Faults []string }

func (e *Error) Error() string {
	if len(e.Faults) == 1 {
		return "configuration: " + e.Faults[0]
	}
	return fmt.Sprintf("configuration has %d faults:\n  - %s", len(e.Faults), strings.Join(e.Faults, "\n  - "))
}

// rank orders the layers; a value of a higher one wins.
type rank int

const (
	byDefault rank = iota
	byFile
	byEnv
	byFlag
)

// origin says where a key was set.
type origin struct {
	rank rank
	text string // "binjet.yaml:3", "BINJET_SOURCE_DSN", "--dsn"
}

// loader collects values and faults.
type loader struct {
	cfg    Config
	keys   []Key
	origin map[string]origin // by key name; set only where not by default
	faults []string

	offline bool
}

// Load reads all layers, checks the result, and reads the secrets' files. Its
// error is an *[Error].
func Load(in Input) (Config, error) {
	l := &loader{keys: Keys(), origin: make(map[string]origin), offline: in.Offline}
	for _, k := range l.keys {
		if k.Default != "" {
			l.set(k, k.Default, origin{byDefault, "default"})
		}
	}
	l.file(in)
	l.environ(in.Environ)
	for _, k := range l.keys {
		if v, ok := in.Flags[k.Flag]; ok && k.Flag != "" {
			l.set(k, v, origin{byFlag, "--" + k.Flag})
		}
	}
	l.resolve()
	if len(l.faults) > 0 {
		return Config{}, &Error{Faults: l.faults}
	}
	return l.cfg, nil
}

// fault notes a fault of a key. The format continues the sentence that the key begins.
func (l *loader) fault(key, format string, args ...any) {
	where := ""
	if o, ok := l.origin[key]; ok {
		where = " (" + o.text + ")"
	}
	l.faults = append(l.faults, key+where+" "+fmt.Sprintf(format, args...))
}

func (l *loader) set(k Key, text string, from origin) {
	if from.rank != byDefault {
		l.origin[k.Name] = from
	}
	if err := assign(l.field(k), text); err != nil {
		if k.Secret {
			l.fault(k.Name, "%s", err)
		} else {
			l.fault(k.Name, "%q %s", text, err)
		}
	}
}

// setList sets a list key item by item, so that an item may hold a comma.
func (l *loader) setList(k Key, items []string, from origin) {
	l.origin[k.Name] = from
	l.field(k).Set(reflect.ValueOf(items))
}

func (l *loader) field(k Key) reflect.Value {
	return reflect.ValueOf(&l.cfg).Elem().FieldByIndex(k.index)
}

func (l *loader) isSet(key string) bool {
	_, ok := l.origin[key]
	return ok
}

// file reads the YAML file; that the default one does not exist is no fault.
func (l *loader) file(in Input) {
	path, named := in.File, in.File != ""
	if !named {
		for _, kv := range in.Environ {
			if v, ok := strings.CutPrefix(kv, FileEnv+"="); ok && v != "" {
				path, named = v, true
			}
		}
	}
	if !named {
		path = DefaultFile
	}
	data, err := os.ReadFile(path)
	switch {
	case err == nil:
		l.cfg.File = path
		l.yaml(path, data)
	case !named && errors.Is(err, fs.ErrNotExist):
	default:
		l.faults = append(l.faults, fmt.Sprintf("the configuration file can't be read: %v", err))
	}
}
