package outboxtable

import (
	"fmt"
	"slices"
	"strings"
)

// Clause is what makes a CREATE TABLE one by partitions; list ends with the
// catch-all. column is created_at as it may stand in a statement.
//
// The server allows UNIX_TIMESTAMP of a TIMESTAMP only, since its meaning must not
// change with the time zone, and wants an integer, hence FLOOR.
func Clause(column string, list []Partition) string {
	return fmt.Sprintf("PARTITION BY RANGE (FLOOR(UNIX_TIMESTAMP(%s))) (\n  %s\n)", column, definitions(list, ",\n  "))
}

// Add makes more partitions in the table of this quoted name; "" when there is
// nothing to add. The rows that wait in the catch-all move into theirs, for which
// the server copies them and keeps writers waiting: so days are added while there
// are none. A table without catch-all gets the days alone.
func Add(table string, have, more []Partition) string {
	if len(more) == 0 {
		return ""
	}
	i := slices.IndexFunc(have, Partition.IsCatchAll)
	if i < 0 {
		return fmt.Sprintf("ALTER TABLE %s ADD PARTITION (%s)", table, definitions(more, ", "))
	}
	into := append(slices.Clone(more), have[i])
	return fmt.Sprintf("ALTER TABLE %s REORGANIZE PARTITION %s INTO (%s)", table, quote(have[i].Name), definitions(into, ", "))
}

// Drop drops partitions with all of their rows; "" for none. It waits for, and
// makes others wait behind it for, whoever has a transaction open on the table.
func Drop(table string, list []Partition) string {
	if len(list) == 0 {
		return ""
	}
	names := make([]string, len(list))
	for i, p := range list {
		names[i] = quote(p.Name)
	}
	return fmt.Sprintf("ALTER TABLE %s DROP PARTITION %s", table, strings.Join(names, ", "))
}

func definitions(list []Partition, separator string) string {
	parts := make([]string, len(list))
	for i, p := range list {
		bound := "MAXVALUE"
		if !p.IsCatchAll() {
			bound = fmt.Sprintf("(%d)", p.Before.Unix())
		}
		parts[i] = fmt.Sprintf("PARTITION %s VALUES LESS THAN %s", quote(p.Name), bound)
	}
	return strings.Join(parts, separator)
}

func quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }
