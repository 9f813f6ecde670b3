package config

import (
	"fmt"
	"strings"
)

// Place is where in a file something stands, counted from 1; zero where it stands
// in none.
type Place struct {
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
}

// Fault is one thing that is wrong with a configuration. It holds nothing of a secret.
type Fault struct {
	// Key is what it is about; "" for a fault of the whole file or of a name that is no key.
	Key string `json:"key,omitempty"`
	// Where is the file and line, the variable or the flag that set the key; ""
	// where nothing did.
	Where string `json:"where,omitempty"`
	Place
	// Problem continues the sentence that Key begins, where there is one.
	Problem string `json:"problem"`
}

// String is the fault as one sentence.
func (f Fault) String() string {
	switch {
	case f.Key != "" && f.Where != "":
		return f.Key + " (" + f.Where + ") " + f.Problem
	case f.Key != "":
		return f.Key + " " + f.Problem
	case f.Where != "":
		return f.Where + ": " + f.Problem
	}
	return f.Problem
}

// Error is every fault of a configuration.
type Error struct{ Faults []Fault }

func (e *Error) Error() string {
	if len(e.Faults) == 1 {
		return "configuration: " + e.Faults[0].String()
	}
	list := make([]string, 0, len(e.Faults))
	for _, f := range e.Faults {
		list = append(list, f.String())
	}
	return fmt.Sprintf("configuration has %d faults:\n  - %s", len(e.Faults), strings.Join(list, "\n  - "))
}
