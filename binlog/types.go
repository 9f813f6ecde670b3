package binlog

import (
	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"
)

// valueType is how the values of a column are read and written as text.
type valueType uint8

const (
	typeOther   valueType = iota // has no text, such as GEOMETRY
	typeBytes                    // VARBINARY and BLOB, taken as they are
	typeText                     // UTF-8, or what is the same in its character set
	typeWide                     // text of UCS-2, UTF-16 or UTF-32
	typeUUID                     // BINARY(16)
	typeBinary                   // BINARY of another length
	typeInteger                  // also what go-mysql makes an integer of
	typeYear
	typeBit
	typeDecimal
	typeFloat
	typeDouble
	typeDate
	typeDateTime
	typeTimestamp
	typeTime
	typeEnum
	typeSet
	typeJSON // MySQL's; MariaDB's is text
)

// columnType is the valueType of one column, with the names of an ENUM or SET.
type columnType struct {
	valueType
	names []string
}

// collationBinary is the collation of BINARY, VARBINARY and BLOB columns.
const collationBinary = 63

// typesOf are the types of the columns of a TABLE_MAP event.
func typesOf(e *replication.TableMapEvent) []columnType {
	collations := e.CollationMap()
	enums, sets := e.EnumStrValueMap(), e.SetStrValueMap()
	types := make([]columnType, len(e.ColumnType))
	for i, t := range e.ColumnType {
		if real := byte(e.ColumnMeta[i] >> 8); t == mysql.MYSQL_TYPE_STRING && (real == mysql.MYSQL_TYPE_ENUM || real == mysql.MYSQL_TYPE_SET) {
			t = real
		}
		switch t {
		case mysql.MYSQL_TYPE_ENUM:
			types[i] = columnType{typeEnum, enums[i]}
		case mysql.MYSQL_TYPE_SET:
			types[i] = columnType{typeSet, sets[i]}
		default:
			collation, known := collations[i]
			types[i].valueType = typeOfColumn(t, collation, known, fixedLength(e.ColumnMeta[i]))
		}
	}
	return types
}

// fixedLength is the length in bytes of a CHAR or BINARY column, out of the
// metadata of TABLE_MAP. Two bits of it stand, inverted, in the type's byte.
func fixedLength(meta uint16) int {
	high, low := int(meta>>8), int(meta&0xff)
	if high&0x30 != 0x30 && high != 0 {
		return low | (high&0x30^0x30)<<4
	}
	return low
}

// typesOfFields are the types of the columns of a SELECT in the binary protocol,
// where the server has written ENUM and SET as text already.
func typesOfFields(fields []*mysql.Field) []columnType {
	types := make([]columnType, len(fields))
	for i, f := range fields {
		if f.Flag&(mysql.ENUM_FLAG|mysql.SET_FLAG) != 0 {
			types[i].valueType = typeText
			continue
		}
		types[i].valueType = typeOfColumn(f.Type, uint64(f.Charset), true, int(f.ColumnLength))
	}
	return types
}

func typeOfColumn(t byte, collation uint64, known bool, length int) valueType {
	switch t {
	case mysql.MYSQL_TYPE_TINY, mysql.MYSQL_TYPE_SHORT, mysql.MYSQL_TYPE_INT24, mysql.MYSQL_TYPE_LONG, mysql.MYSQL_TYPE_LONGLONG:
		return typeInteger
	case mysql.MYSQL_TYPE_YEAR:
		return typeYear
	case mysql.MYSQL_TYPE_BIT:
		return typeBit
	case mysql.MYSQL_TYPE_NEWDECIMAL:
		return typeDecimal
	case mysql.MYSQL_TYPE_FLOAT:
		return typeFloat
	case mysql.MYSQL_TYPE_DOUBLE:
		return typeDouble
	case mysql.MYSQL_TYPE_DATE, mysql.MYSQL_TYPE_NEWDATE:
		return typeDate
	case mysql.MYSQL_TYPE_DATETIME, mysql.MYSQL_TYPE_DATETIME2:
		return typeDateTime
	case mysql.MYSQL_TYPE_TIMESTAMP, mysql.MYSQL_TYPE_TIMESTAMP2:
		return typeTimestamp
	case mysql.MYSQL_TYPE_TIME, mysql.MYSQL_TYPE_TIME2:
		return typeTime
	case mysql.MYSQL_TYPE_JSON:
		return typeJSON
	case mysql.MYSQL_TYPE_VARCHAR, mysql.MYSQL_TYPE_VAR_STRING, mysql.MYSQL_TYPE_STRING, mysql.MYSQL_TYPE_TINY_BLOB,
		mysql.MYSQL_TYPE_BLOB, mysql.MYSQL_TYPE_MEDIUM_BLOB, mysql.MYSQL_TYPE_LONG_BLOB:
		return typeOfText(t, collation, known, length)
	}
	return typeOther
}

func typeOfText(t byte, collation uint64, known bool, length int) valueType {
	switch {
	case !known:
		return typeBytes
	case collation == collationBinary && t == mysql.MYSQL_TYPE_STRING && length == uuidLength:
		return typeUUID
	case collation == collationBinary && t == mysql.MYSQL_TYPE_STRING:
		return typeBinary
	case collation == collationBinary:
		return typeBytes
	case wide(collation):
		return typeWide
	}
	return typeText
}

// wide: the collations of ucs2, utf16, utf16le and utf32, in MySQL and MariaDB.
func wide(id uint64) bool {
	switch {
	case id == 35, id == 90, id >= 128 && id <= 151, id == 159, // ucs2
		id == 54, id == 55, id == 56, id == 62, id >= 101 && id <= 124, // utf16, utf16le
		id == 60, id == 61, id >= 160 && id <= 183: // utf32
		return true
	}
	return id >= 0xA00 && id < 0xD00 // MariaDB's uca1400 for ucs2, utf16 and utf32
}
