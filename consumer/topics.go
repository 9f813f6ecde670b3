package consumer

import (
	"database/sql"
	"fmt"
	"strconv"
	"strings"

	"github.com/binjet/binjet"
)

// route is one handler with the topics it is for.
type route struct {
	pattern string
	tokens  []string
	run     runner      // of one message
	batch   *batchRoute // instead of run, for a handler of batches
	db      *sql.DB     // that of a handler in a transaction, nil for others
}

// checkPattern reports why s can't be a topic pattern: a topic whose tokens may
// be "*" (any one token) and whose last may be ">" (one or more).
func checkPattern(s string) error {
	tokens := strings.Split(s, ".")
	for i, token := range tokens {
		switch {
		case token == "*":
			tokens[i] = "x"
		case token == ">" && i == len(tokens)-1:
			tokens[i] = "x"
		case token == ">":
			return fmt.Errorf("topic pattern %q: > may only be the last token", s)
		case strings.ContainsAny(token, "*>"):
			return fmt.Errorf("topic pattern %q: a wildcard has to be a whole token", s)
		}
	}
	if err := binjet.CheckTopic(strings.Join(tokens, ".")); err != nil {
		return fmt.Errorf("topic pattern %q: %w", s, err)
	}
	return nil
}

// matches reports whether the topic's tokens fit the pattern's.
func matches(pattern, topic []string) bool {
	for i, token := range pattern {
		switch {
		case i >= len(topic):
			return false
		case token == ">":
			return true
		case token != "*" && token != topic[i]:
			return false
		}
	}
	return len(pattern) == len(topic)
}

// overlap reports whether some topic fits both patterns.
func overlap(a, b []string) bool {
	for i := 0; i < len(a) && i < len(b); i++ {
		switch {
		case a[i] == ">" || b[i] == ">":
			return true
		case a[i] != "*" && b[i] != "*" && a[i] != b[i]:
			return false
		}
	}
	return len(a) == len(b)
}

// shareFilters are the subjects of topic patterns in one share of a stream with so
// many partitions, or in the one share of a stream without.
func shareFilters(prefix string, share, partitions int, patterns []string) []string {
	if partitions > 0 {
		prefix += "." + strconv.Itoa(share)
	}
	subjects := make([]string, 0, len(patterns))
	for _, p := range patterns {
		subjects = append(subjects, prefix+"."+p)
	}
	return subjects
}

// filters are the subjects of the patterns on a stream with or without partitions.
func filters(prefix string, partitioned bool, routes []*route) []string {
	if partitioned {
		prefix += ".*"
	}
	subjects := make([]string, 0, len(routes))
	for _, r := range routes {
		subjects = append(subjects, prefix+"."+r.pattern)
	}
	return subjects
}
