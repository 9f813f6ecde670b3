package test

import (
	"testing"

	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/test/internal/testdb"
)

// TestShapes: transactions and tables of every shape, on one server per flavour.
func TestShapes(t *testing.T) {
	t.Parallel()
	bin := testdb.Command(t)
	for _, flavor := range []dbserver.Flavor{dbserver.MySQL, dbserver.MariaDB} {
		t.Run(string(flavor), func(t *testing.T) {
			t.Parallel()
			srv, db := startDB(t, dbserver.Options{Flavor: flavor, Args: []string{"--local-infile=ON"}})
			for _, test := range []struct {
				name string
				run  func(*testing.T, *binlogSource)
			}{
				{"altered", shapesAltered},
				{"renamed_column", shapesRenamedColumn},
				{"swapped", shapesSwapped},
				{"tables", shapesTables},
				{"triggers", shapesTriggers},
				{"load_data", shapesLoadData},
				{"create_select", shapesCreateSelect},
				{"statement_format", shapesStatementFormat},
				{"updates", shapesUpdates},
				{"origins", shapesOrigins},
				{"incident", shapesIncident},
				{"snapshot_pinned", shapesSnapshotPinned},
				{"snapshot_changed", shapesSnapshotChanged},
			} {
				t.Run(test.name, func(t *testing.T) { test.run(t, newBinlogSource(t, srv, db, "h_"+test.name)) })
			}
			for _, test := range []struct {
				name string
				run  func(*testing.T, *cmdWorld)
			}{
				{"renamed_column", shapesRenamedColumnCommand},
				{"largest", shapesLargest},
			} {
				t.Run("command/"+test.name, func(t *testing.T) { test.run(t, newCmdWorld(t, bin, srv, db, "hc_"+test.name)) })
			}
		})
	}
}
