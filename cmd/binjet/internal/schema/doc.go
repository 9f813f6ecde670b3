// Package schema makes, compares and drops outbox tables for the commands that do.
//
// What there is to do is computed from what is there (Inspect, then Plan), each time
// anew: every statement leaves a table that the next look understands, so a crash,
// or a second process that does the same, needs no care beyond that.
package schema
