package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"slices"
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
	// FileOnly leaves out the environment and the flags, and does not ask for what
	// the file names: other files, such as certificates, need not be there. For a
	// check of the file where it is written, not where it is used. It is Offline, too.
	FileOnly bool
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
	Place
}

// loader collects values and faults.
type loader struct {
	cfg    Config
	keys   []Key
	origin map[string]origin // by key name; set only where not by default
	faults []Fault

	offline, fileOnly bool
}

// Load reads all layers, checks the result, and reads the secrets' files. Its
// error is an *[Error].
func Load(in Input) (Config, error) {
	l := read(in)
	if len(l.faults) > 0 {
		return Config{}, &Error{Faults: l.faults}
	}
	return l.cfg, nil
}

// read goes through all layers, and notes what is wrong.
func read(in Input) *loader {
	l := &loader{keys: Keys(), origin: make(map[string]origin), offline: in.Offline, fileOnly: in.FileOnly}
	for _, k := range l.keys {
		if k.Default != "" {
			l.set(k, k.Default, origin{rank: byDefault})
		}
	}
	l.file(in)
	if in.FileOnly {
		in.Environ, in.Flags, l.offline = nil, nil, true
	}
	l.environ(in.Environ)
	for _, k := range l.keys {
		if v, ok := in.Flags[k.Flag]; ok && k.Flag != "" {
			l.set(k, v, origin{rank: byFlag, text: "--" + k.Flag})
		}
	}
	l.resolve()
	return l
}

// fault notes a fault of a key. The format continues the sentence that the key begins.
func (l *loader) fault(key, format string, args ...any) {
	o := l.origin[key]
	l.faults = append(l.faults, Fault{Key: key, Where: o.text, Place: o.Place, Problem: fmt.Sprintf(format, args...)})
}

func (l *loader) set(k Key, text string, from origin) {
	if from.rank != byDefault {
		l.origin[k.Name] = from
	}
	err := assign(l.field(k), text)
	if err == nil && len(k.Enum) > 0 && (text != "" || k.Default != "") && !slices.Contains(k.Enum, text) {
		err = errors.New(noneOf(k.Enum))
	}
	switch {
	case err != nil && k.Secret:
		l.fault(k.Name, "%s", err)
	case err != nil:
		l.fault(k.Name, "%q %s", text, err)
	}
}

// noneOf continues the sentence about a value that is none of the list.
func noneOf(list []string) string {
	switch n := len(list); n {
	case 1:
		return "is not " + list[0]
	case 2:
		return "is neither " + list[0] + " nor " + list[1]
	default:
		return "is none of " + strings.Join(list[:n-1], ", ") + " and " + list[n-1]
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
		l.faults = append(l.faults, Fault{Problem: fmt.Sprintf("the configuration file can't be read: %v", err)})
	}
}
