package config

import (
	"fmt"
	"reflect"
)

// Change is a key whose value differs between two configurations.
type Change struct {
	Key Key
	// Old and New are values without secrets. They are equal where only a secret differs.
	Old, New string
}

// Reload reads all layers again. It returns old with the keys that may change
// ([Key.Reload]) as they are now, and what differs: applied is in the returned
// configuration, pending needs a restart. On an error nothing has changed.
//
// Files of secrets are no part of this: they are read at each connect.
func Reload(old Config, in Input) (now Config, applied, pending []Change, err error) {
	l := read(in)
	if len(l.faults) > 0 {
		return old, nil, nil, &Error{Faults: l.faults}
	}
	before := &loader{cfg: old}
	now = old
	target := &loader{cfg: now}
	for _, k := range l.keys {
		if reflect.DeepEqual(before.field(k).Interface(), l.field(k).Interface()) {
			continue
		}
		c := Change{Key: k, Old: fmt.Sprint(before.shown(k)), New: fmt.Sprint(l.shown(k))}
		if !k.Reload {
			pending = append(pending, c)
			continue
		}
		target.field(k).Set(l.field(k))
		applied = append(applied, c)
	}
	return target.cfg, applied, pending, nil
}
