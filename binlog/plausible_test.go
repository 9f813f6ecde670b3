package binlog

import (
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/binjet/binjet/checkpoint"
)

// mysqlLists are what stands behind a TABLE_MAP of an ENUM('a','bc'), an ENUM(”) and
// a SET('x'): one list for each column.
var mysqlLists = []byte{
	replication.TABLE_MAP_OPT_META_ENUM_STR_VALUE, 8, 2, 1, 'a', 2, 'b', 'c', 1, 0,
	replication.TABLE_MAP_OPT_META_SET_STR_VALUE, 3, 1, 1, 'x',
}

// lyingList claims 16 million values, and go-mysql would make room for all of them.
func lyingList(kind byte) []byte { return []byte{kind, 4, 0xfd, 0xff, 0xff, 0xff} }

// TestListsOfAnySize: no room is made for values that a TABLE_MAP has not.
func TestListsOfAnySize(t *testing.T) {
	tableMap := unhex(t, mysqlTableMap)
	for name, c := range map[string]struct {
		lists []byte
		want  string
	}{
		"none":           {nil, ""},
		"true":           {mysqlLists, ""},
		"an ENUM":        {lyingList(replication.TABLE_MAP_OPT_META_ENUM_STR_VALUE), "0 bytes don't hold the 16777215 values"},
		"a SET":          {slices.Concat(mysqlLists, lyingList(replication.TABLE_MAP_OPT_META_SET_STR_VALUE)), "0 bytes don't hold the 16777215 values"},
		"more than all":  {[]byte{replication.TABLE_MAP_OPT_META_ENUM_STR_VALUE, 9, 0xfe, 0, 0, 0, 0, 0, 4, 0, 0}, "0 bytes don't hold the 4398046511104 values"},
		"cut short":      {mysqlLists[:5], "cut short"},
		"a value beyond": {[]byte{replication.TABLE_MAP_OPT_META_SET_STR_VALUE, 3, 1, 9, 'x'}, "cut short"},
		"others":         {lyingList(0x70), ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := newParser(flavorName(checkpoint.MySQL), shop(), false)
			defer p.close()
			parse := func(raw []byte) error {
				return p.parse(raw, func(*replication.BinlogEvent) error { return nil })
			}
			if err := parse(rawEvent(t, rawFormat)); err != nil {
				t.Fatal(err)
			}
			raw := framed(replication.TABLE_MAP_EVENT, slices.Concat(tableMap, c.lists))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := parse(raw)
			runtime.ReadMemStats(&after)
			if made := after.TotalAlloc - before.TotalAlloc; made > 1<<20 {
				t.Errorf("%d bytes made room for %d", len(raw), made)
			}
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}
