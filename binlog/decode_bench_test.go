package binlog

import (
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
)

// BenchmarkMessage is what one row of the table that binjet creates costs, with
// the metadata that a real server writes.
func BenchmarkMessage(b *testing.B) {
	e := outboxMap()
	e.ColumnType = []byte{mysql.MYSQL_TYPE_VARCHAR, mysql.MYSQL_TYPE_VARCHAR, mysql.MYSQL_TYPE_VARCHAR,
		mysql.MYSQL_TYPE_BLOB, mysql.MYSQL_TYPE_BLOB, mysql.MYSQL_TYPE_TIMESTAMP2}
	e.ColumnMeta = []uint16{64, 255, 1020, 4, 4, 6}
	e.ColumnCharset = []uint64{65, 65, 46, 63, 63}
	payload := make([]byte, 256)
	row := []any{"0192f1a0-0000-7000-8000-000000000001", "orders.created", "customer-4711",
		[]byte(`{"Content-Type":"application/json"}`), payload, time.Unix(1_700_000_000, 0)}
	d := newDecoder(newMapping(Config{}.withDefaults()))
	b.ReportAllocs()
	for b.Loop() {
		if _, fault := d.layoutOf(e).message(row, nil, time.Time{}); fault != nil {
			b.Fatal(fault)
		}
	}
}
