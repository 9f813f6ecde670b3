package checkpoint

// HaltError says that going on would break a promise: something would be lost,
// repeated or made up. The process stops with exit code 3 and an operator decides.
type HaltError struct {
	// Problem is what was found; Hint is what the operator can do.
	Problem, Hint string
	// Cause is the error behind it, if there is one.
	Cause error
}

func (e *HaltError) Error() string {
	s := e.Problem
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	if e.Hint != "" {
		s += ". " + e.Hint
	}
	return s
}

// Unwrap returns the cause.
func (e *HaltError) Unwrap() error { return e.Cause }
