package binlog

import (
	"bytes"
	"slices"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/binjet/binjet/internal/slab"
)

// decoder turns row images into messages. It maps columns by the names in the
// TABLE_MAP event, which are those of the moment the row was written.
type decoder struct {
	mapping mapping
	layouts map[uint64]*layout // by table ID
	room    slab.Slab[byte]
}

func newDecoder(m mapping) *decoder {
	return &decoder{mapping: m, layouts: make(map[uint64]*layout)}
}

// layoutOf returns the layout for a TABLE_MAP event. It is made anew when
// anything that it depends on differs from the last event of the same table ID.
func (d *decoder) layoutOf(e *replication.TableMapEvent) *layout {
	if l := d.layouts[e.TableID]; l != nil && sameTable(l.event, e) {
		return l
	}
	if len(d.layouts) > 100 { // table IDs change with every DDL
		clear(d.layouts)
	}
	l := d.newLayout(e)
	d.layouts[e.TableID] = l
	return l
}

func sameTable(a, b *replication.TableMapEvent) bool {
	return a == b || bytes.Equal(a.Schema, b.Schema) && bytes.Equal(a.Table, b.Table) && bytes.Equal(a.ColumnType, b.ColumnType) &&
		slices.Equal(a.ColumnMeta, b.ColumnMeta) && sameNames(a.ColumnName, b.ColumnName) &&
		slices.Equal(a.DefaultCharset, b.DefaultCharset) && slices.Equal(a.ColumnCharset, b.ColumnCharset) &&
		slices.EqualFunc(a.EnumStrValue, b.EnumStrValue, sameNames) && slices.EqualFunc(a.SetStrValue, b.SetStrValue, sameNames)
}

func sameNames(a, b [][]byte) bool { return slices.EqualFunc(a, b, bytes.Equal) }

func (d *decoder) newLayout(e *replication.TableMapEvent) *layout {
	of := table{string(e.Schema), string(e.Table)}
	if len(e.ColumnName) == 0 {
		return &layout{event: e, table: of, fault: "the binlog does not name the columns (binlog_row_metadata is not FULL)", hint: hintMetadata}
	}
	l := newLayout(&d.mapping, of, e.ColumnNameString(), typesOf(e))
	l.event, l.room = e, &d.room
	l.cells = l.cellsOf()
	return l
}
