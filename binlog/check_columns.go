package binlog

import (
	"fmt"
	"strings"
)

// tableColumn is a column as information_schema describes it.
type tableColumn struct {
	dataType, charset string
	length            string // in characters, "" where that is nothing to ask for
	nullable          bool
}

func (c tableColumn) String() string {
	s := c.dataType
	if c.dataType == "binary" {
		s += "(" + c.length + ")"
	}
	return strings.TrimSpace(s + " " + c.charset)
}

// columnFindings checks that every column that the mapping reads exists and has a
// type that survives the binlog.
func (r *Reader) columnFindings(s *session, t table) (list []Finding, err error) {
	rows, err := s.rows(fmt.Sprintf("SELECT LOWER(COLUMN_NAME), LOWER(DATA_TYPE), LOWER(COALESCE(CHARACTER_SET_NAME,'')), COALESCE(CHARACTER_MAXIMUM_LENGTH,''), IS_NULLABLE "+
		"FROM information_schema.COLUMNS WHERE TABLE_SCHEMA='%s' AND TABLE_NAME='%s'", t.schema, t.name))
	if err != nil {
		return nil, err
	}
	columns := make(map[string]tableColumn, len(rows))
	for _, row := range rows {
		columns[row[0]] = tableColumn{row[1], row[2], row[3], row[4] == "YES"}
	}
	return r.judgeColumns(t, columns), nil
}

// judgeColumns makes one finding of each column, the worst where it is used twice.
func (r *Reader) judgeColumns(t table, columns map[string]tableColumn) (list []Finding) {
	at := make(map[string]int) // of a column in list
	for _, u := range r.mapping.uses() {
		f := r.columnFinding(t, u, columns)
		if i, ok := at[f.Name]; !ok {
			at[f.Name] = len(list)
			list = append(list, f)
		} else if list[i].OK && (!f.OK || list[i].Warning == "") {
			list[i] = f
		}
	}
	return list
}

func (r *Reader) columnFinding(t table, u use, columns map[string]tableColumn) Finding {
	f := Finding{Name: fmt.Sprintf("column %s.%s", t, u.column), OK: true, Now: true}
	got, ok := columns[strings.ToLower(u.column)]
	if !ok {
		f.Detail = "there is no such column"
		if u.optional {
			f.Detail += ", so messages have no " + u.field
			return f
		}
		f.OK = false
		f.Detail += ", and the " + u.field + " is made of it"
		f.Fix = "add it, or correct the mapping to the column that is meant (source.columns, source.route, source.headers)"
		return f
	}
	f.Detail = got.String()
	if got.dataType == "binary" && got.length == "16" && u.role != asBytes {
		f.Detail += ", a UUID (source.binary_uuid " + r.cfg.BinaryUUID + ")"
	}
	if u.needed && got.nullable {
		f.Warning = "may be NULL: a row without it can't be published, and is treated as source.on_invalid says"
	}
	if problem, fix := unsuitable(u.role, got, r.mapping.swapped); problem != "" {
		f.OK, f.Detail, f.Warning = false, f.Detail+": "+problem, ""
		f.Fix = fix
		if typeOnly, ok := strings.CutPrefix(fix, modify); ok {
			f.Fix = fmt.Sprintf("ALTER TABLE %s MODIFY `%s` %s;", t.quoted(), u.column, typeOnly)
		}
	}
	return f
}

// modify begins a fix that is another type of the column.
const modify = "MODIFY "

const (
	toText = modify + "VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
	toBlob = modify + "LONGBLOB"
	toTime = modify + "TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)"

	fixID = "map a column that is unique for ever (source.columns.id); docs/existing-tables.md has the statements that give a table one"
)

// unsuitable says why a column can't be read from the binlog for a role, and what
// to do about it.
func unsuitable(as role, c tableColumn, swapped bool) (problem, fix string) {
	switch as {
	case asTime:
		if c.dataType != "timestamp" && c.dataType != "datetime" {
			return "it must be a point in time", toTime
		}
		return "", ""
	case asBytes:
		fix = toBlob
	default:
		fix = toText
	}
	switch c.dataType {
	case "varchar", "char", "tinytext", "text", "mediumtext", "longtext":
		return unsuitableText(as, c.charset, fix)
	case "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "json":
		return "", ""
	case "binary":
		if as != asBytes && as != asProperty && c.length == "16" {
			return "", "" // a UUID
		}
		return "BINARY loses trailing zeros in the binlog", fix
	}
	if as == asBytes || as == asProperty {
		return "it must be text or binary", fix
	}
	return unsuitableOther(as, c, swapped, fix)
}

// unsuitableText: text comes in the character set of its column.
func unsuitableText(as role, charset, fix string) (problem, _ string) {
	switch charset {
	case "", "ascii", "utf8", "utf8mb3", "utf8mb4":
		return "", ""
	case "ucs2", "utf16", "utf16le", "utf32":
		return "the binlog holds it in this character set", fix
	}
	if as == asID || as == asTopic { // ASCII only, which all others agree on
		return "", ""
	}
	return "the binlog holds it in this character set, which is not UTF-8", fix
}

// unsuitableOther is about what is neither text nor bytes, and is written as text.
func unsuitableOther(as role, c tableColumn, swapped bool, fix string) (problem, _ string) {
	switch c.dataType {
	case "uuid":
		if swapped {
			return "MariaDB's UUID is never swapped, and the binlog does not tell it from BINARY(16)", "set source.binary_uuid to standard"
		}
		return "", ""
	case "inet4", "inet6":
		return "the binlog does not tell it from BINARY", fix
	}
	if as == asID {
		return "it must be text or a UUID: a message ID has to be unique for ever, and not only in this table", fixID
	}
	switch c.dataType {
	case "enum", "set":
		return unsuitableText(as, c.charset, fix)
	case "tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "float", "double", "year", "bit",
		"date", "datetime", "timestamp", "time":
		return "", ""
	}
	return "it is of a type that has no text", fix
}
