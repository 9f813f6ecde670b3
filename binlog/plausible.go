package binlog

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"
)

// listed: a GTID list of MariaDB is as long as it says.
func listed(body []byte) error {
	const flags, gtid = 4, 16
	if count := binary.LittleEndian.Uint32(body) << flags >> flags; uint64(len(body)-4) < gtid*uint64(count) {
		return fmt.Errorf("%d bytes don't hold %d GTIDs", len(body), count)
	}
	return nil
}

// plausible: an event can hold as much as it says. go-mysql makes room for any number.
// A TABLE_MAP comes here only when the format of the log is not that of today.
func plausible(kind replication.EventType, body []byte) error {
	switch kind {
	case replication.MARIADB_GTID_LIST_EVENT:
		return listed(body)
	case replication.TABLE_MAP_EVENT:
		return errors.New("by its format the log has table IDs of four bytes, as before MySQL 5.1.4")
	}
	data := compressed(kind, body)
	if data == nil {
		return nil
	}
	size := mysql.BFixedLengthInt(data[1 : 1+data[0]&7])
	if most := 1032 * uint64(len(data)); size > most { // by the format of zlib
		return fmt.Errorf("%d bytes can't be inflated to %d", len(data), size)
	}
	return nil
}

// compressed is what MariaDB compressed of an event: a byte that ends in the length of
// the size, the size, and zlib's format.
func compressed(kind replication.EventType, body []byte) []byte {
	bitmaps := uint64(1)
	switch kind {
	case replication.MARIADB_QUERY_COMPRESSED_EVENT: // behind variables, schema and a zero
		return body[14+int(body[8])+int(binary.LittleEndian.Uint16(body[11:])):]
	case replication.MARIADB_UPDATE_ROWS_COMPRESSED_EVENT_V1:
		bitmaps = 2
	case replication.MARIADB_WRITE_ROWS_COMPRESSED_EVENT_V1, replication.MARIADB_DELETE_ROWS_COMPRESSED_EVENT_V1:
	default:
		return nil
	}
	columns, _, n := mysql.LengthEncodedInt(body[8:])
	return body[8+uint64(n)+bitmaps*((columns+7)/8):]
}

// errShort: an event would end behind its last byte.
var errShort = errors.New("it is cut short")

// describes: a TABLE_MAP has the values of ENUM and SET columns that it counts. It is
// asked of those only that are decoded, which are few.
func describes(body []byte) error {
	rest, err := metadata(body)
	for err == nil && len(rest) > 0 {
		kind := rest[0]
		var value []byte
		if value, rest, err = field(rest[1:]); err != nil {
			return err
		}
		if kind == replication.TABLE_MAP_OPT_META_ENUM_STR_VALUE || kind == replication.TABLE_MAP_OPT_META_SET_STR_VALUE {
			err = valued(value)
		}
	}
	return err
}

// metadata is the fields at the end of a TABLE_MAP.
func metadata(body []byte) ([]byte, error) {
	at := 8       // behind table ID and flags
	for range 2 { // schema and table, each with a zero behind it
		if len(body) <= at {
			return nil, errShort
		}
		at += 1 + int(body[at]) + 1
	}
	if len(body) < at {
		return nil, errShort
	}
	types, rest, err := field(body[at:])
	if err != nil {
		return nil, err
	}
	if _, rest, err = field(rest); err != nil { // what the types need beside
		return nil, err
	}
	nulls := (len(types) + 7) / 8
	if len(rest) < nulls {
		return nil, errShort
	}
	return rest[nulls:], nil
}

// valued: lists of values are as long as they say. Each value has a byte at least.
func valued(lists []byte) error {
	for len(lists) > 0 {
		count, n, err := packed(lists)
		if err != nil {
			return err
		}
		lists = lists[n:]
		if count > uint64(len(lists)) {
			return fmt.Errorf("%d bytes don't hold the %d values of an ENUM or a SET", len(lists), count)
		}
		for range count {
			if _, lists, err = field(lists); err != nil {
				return err
			}
		}
	}
	return nil
}

// field cuts off what stands behind its length.
func field(b []byte) (value, rest []byte, err error) {
	length, n, err := packed(b)
	if err != nil || length > uint64(len(b)-n) {
		return nil, nil, errShort
	}
	end := n + int(length)
	return b[n:end], b[end:], nil
}

// packed reads a length-encoded integer of n bytes.
func packed(b []byte) (v uint64, n int, err error) {
	if len(b) == 0 || b[0] == 0xfc && len(b) < 3 || b[0] == 0xfd && len(b) < 4 || b[0] == 0xfe && len(b) < 9 {
		return 0, 0, errShort
	}
	v, _, n = mysql.LengthEncodedInt(b)
	return v, n, nil
}

// complete: there is a collation for each column of text, and a list for each ENUM and
// SET, unless there is none for any. go-mysql takes that for granted when it is asked
// for them by column.
func complete(e *replication.TableMapEvent) error {
	var text, enums, sets int
	for i := range e.ColumnType {
		switch {
		case e.IsCharacterColumn(i):
			text++
		case e.IsEnumColumn(i):
			enums++
		case e.IsSetColumn(i):
			sets++
		}
	}
	few := func(what string, has, needs int) error {
		if has == 0 || has >= needs {
			return nil
		}
		return fmt.Errorf("it has %s for %d columns, and %d such columns", what, has, needs)
	}
	if len(e.DefaultCharset) == 0 {
		if err := few("the collations", len(e.ColumnCharset), text); err != nil {
			return err
		}
	}
	return errors.Join(few("the values of ENUMs", len(e.EnumStrValue), enums), few("the values of SETs", len(e.SetStrValue), sets))
}
