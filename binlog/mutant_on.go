//go:build binjet_mutants

package binlog

import "os"

// mutantKeeps publishes what was rolled back to a savepoint.
func mutantKeeps() bool { return os.Getenv("BINJET_TEST_MUTANT") == "rollback ignored" }
