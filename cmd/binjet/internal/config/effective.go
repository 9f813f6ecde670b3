package config

import (
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"time"
)

// Value is what a key is set to, and by what.
type Value struct {
	Key string `json:"key"`
	// Value is a string, a number, a boolean or a list of strings, as the file would
	// hold it. Nothing of a secret is in it.
	Value any `json:"value"`
	// Layer is default, file, environment, flag, or derived from another key.
	Layer string `json:"layer"`
	// From is the place: the file and line, the variable, the flag; "" for a default.
	From string `json:"from,omitempty"`
}

// Effective loads like [Load], and returns what each key is set to.
func Effective(in Input) (Config, []Value, error) {
	l := read(in)
	if len(l.faults) > 0 {
		return Config{}, nil, &Error{Faults: l.faults}
	}
	values := make([]Value, 0, len(l.keys))
	for _, k := range l.keys {
		o := l.origin[k.Name]
		v := Value{Key: k.Name, Value: l.shown(k), Layer: o.rank.String(), From: o.text}
		if k.Name == "source.name" && o.rank == byDefault && l.cfg.Source.Name != "" {
			v.Layer, v.From = "derived", "the DSN's database"
		}
		values = append(values, v)
	}
	return l.cfg, values, nil
}

func (r rank) String() string { return [...]string{"default", "file", "environment", "flag"}[r] }

// shown is the value of k as the file would hold it, and without secrets.
func (l *loader) shown(k Key) any {
	switch v := l.field(k).Interface().(type) {
	case Secret:
		if k.Name == "source.dsn" {
			return l.shownDSN()
		}
		return v.String()
	case []string:
		if k.Secret {
			return RedactURLs(v)
		}
		return v
	case time.Duration:
		return v.String()
	case Bytes:
		return v.String()
	default:
		if reflect.TypeOf(v).Kind() == reflect.String && k.Secret {
			return redacted
		}
		return v
	}
}

// shownDSN is the DSN without its password, and without parameters, which binjet
// does not use but for tls. One that stands in a file is not shown as a key's value.
func (l *loader) shownDSN() string {
	d := l.cfg.Database
	if d.Addr == "" || d.renewal.dsnFile != "" {
		return ""
	}
	user := d.User
	if d.Password != "" && d.renewal.passwordFile == "" {
		user += ":" + redacted
	}
	return fmt.Sprintf("%s@%s(%s)/%s", user, d.Net, d.Addr, d.Name)
}

// RedactURLs are the servers without what may be a password: a user name alone
// would be a token.
func RedactURLs(urls []string) []string {
	list := make([]string, 0, len(urls))
	for _, raw := range urls {
		if !strings.Contains(raw, "://") {
			raw = "nats://" + raw
		}
		shown := "[unreadable]"
		if u, err := url.Parse(raw); err == nil {
			shown = u.Scheme + "://" + u.Host
		}
		list = append(list, shown)
	}
	return list
}
