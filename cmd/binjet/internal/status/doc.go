// Package status gathers what the operator of a source wants to know at 3 a.m.:
// who leads, how far the stream is behind the source, what a purge of binlogs would
// endanger, how the consumers are, and what needs a hand.
//
// It asks the two sides by themselves and for what each of them knows, so that it
// is of use while one of them is down; it says which, and shows the rest. It only
// reads, and disturbs nobody: the relay is not asked, but its checkpoint is read.
//
// What there is no trace of can't be told: standbys write nothing while they stand by.
package status
