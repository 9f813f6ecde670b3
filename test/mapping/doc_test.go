// Package mapping proves what docs/existing-tables.md promises, on real servers:
// that tables of other designs than binjet's own are published by their preset, by
// templates and by columns that become headers, in the same form whether a row
// comes from a snapshot or from the binlog.
package mapping
