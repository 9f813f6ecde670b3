// Package cli runs the commands of an operator on real databases: status, verify,
// position, dlq and tail, and every command that docs/cli.md shows.
package cli
