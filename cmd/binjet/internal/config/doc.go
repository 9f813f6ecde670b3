// Package config reads the configuration of the process: defaults, a YAML file,
// the environment and flags, the later ones winning.
//
// The struct [Config] is the one table of keys. Each leaf carries its key, its
// default and its one-line description as tags; the environment variable follows
// from the key (source.dsn is BINJET_SOURCE_DSN). Files, variables and flags all
// go through the same setter, so they take the same spellings and fail with the
// same words, and help texts are printed from the same tags.
//
// All faults are reported at once, each naming its key and where it was set. A
// secret's value appears in none of them.
package config
