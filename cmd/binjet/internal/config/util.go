package config

import (
	"slices"
	"sort"
	"strings"
)

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func sorted(list []string) []string {
	list = slices.Clone(list)
	sort.Strings(list)
	return list
}

func keySet(keys map[string]Key) map[string]bool {
	set := make(map[string]bool, len(keys))
	for name := range keys {
		set[name] = true
	}
	return set
}

// lastParts are the last parts of dotted names.
func lastParts(names []string) []string {
	parts := make([]string, 0, len(names))
	for _, name := range names {
		parts = append(parts, name[strings.LastIndex(name, ".")+1:])
	}
	return parts
}
