//go:build race

package producer

// raceAllocations is what the race detector adds to an insert: values that it
// keeps from staying on the stack.
const raceAllocations = 2
