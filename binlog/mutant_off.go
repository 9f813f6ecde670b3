//go:build !binjet_mutants

package binlog

// A mutant breaks one rule, so that test/torture can show that it would notice. It exists
// under the build tag binjet_mutants only; see package relay.
func mutantKeeps() bool { return false }
