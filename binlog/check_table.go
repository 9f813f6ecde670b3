package binlog

import (
	"fmt"
	"strings"

	"github.com/go-mysql-org/go-mysql/mysql"
)

// tableFindings checks one outbox table. An account that may only replicate
// can't see it, which is no fault.
func (r *Reader) tableFindings(s *session, t table, snapshot bool) ([]Finding, error) {
	name := "table " + t.String()
	_, err := s.rows("SELECT 1 FROM " + t.quoted() + " LIMIT 0")
	switch serverCode(err) {
	case mysql.ER_NO_SUCH_TABLE, mysql.ER_BAD_DB_ERROR:
		return []Finding{{Name: name, Now: true, Detail: "there is no such table", Fix: "binjet init creates it; or correct the name, upper and lower case included"}}, nil
	case mysql.ER_TABLEACCESS_DENIED_ERROR, mysql.ER_DBACCESS_DENIED_ERROR, mysql.ER_COLUMNACCESS_DENIED_ERROR:
		return []Finding{{Name: name, OK: true, Detail: "not checked: the account may not see it (it may replicate it all the same)"}}, nil
	}
	if err != nil {
		return nil, err
	}
	rows, err := s.rows(fmt.Sprintf("SELECT TABLE_NAME, ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA='%s' AND TABLE_NAME='%s'", t.schema, t.name))
	if err != nil {
		return nil, err
	}
	if len(rows) != 1 || rows[0][0] != t.name {
		stored := ""
		if len(rows) > 0 {
			stored = rows[0][0]
		}
		return []Finding{{Name: name, Now: true, Detail: fmt.Sprintf("the server stores it as %q", stored), Fix: "spell the name as the server does"}}, nil
	}
	engine := Finding{Name: name + " engine", OK: true, Detail: rows[0][1]}
	switch strings.ToUpper(rows[0][1]) {
	case "INNODB", "BLACKHOLE", "ROCKSDB", "NDBCLUSTER":
	default:
		engine.OK, engine.Fix = false, fmt.Sprintf("ALTER TABLE %s ENGINE=InnoDB;", t.quoted())
		engine.Detail += " is not transactional: rows of transactions that roll back would be published"
	}
	if r.cfg.OnGap == RescanOnGap && strings.EqualFold(rows[0][1], "BLACKHOLE") {
		engine.OK, engine.Fix = false, "set source.on_gap to halt"
		engine.Detail += " keeps no rows, so a gap can't be mended from them"
	}
	list, err := r.columnFindings(s, t)
	if err != nil || !snapshot {
		return append([]Finding{engine}, list...), err
	}
	key, err := r.keyFinding(s, t)
	return append([]Finding{engine, key}, list...), err
}

// keyFinding: a snapshot is read in the order of the ID, which must be unique
// for none to be left out.
func (r *Reader) keyFinding(s *session, t table) (Finding, error) {
	rows, err := s.rows(fmt.Sprintf("SELECT INDEX_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA='%s' AND TABLE_NAME='%s' "+
		"AND NON_UNIQUE=0 GROUP BY INDEX_NAME HAVING COUNT(*)=1 AND MAX(LOWER(COLUMN_NAME))=?", t.schema, t.name), strings.ToLower(r.cfg.Columns.ID))
	if err != nil {
		return Finding{}, err
	}
	f := Finding{Name: fmt.Sprintf("table %s key", t), OK: len(rows) > 0, Detail: r.cfg.Columns.ID + " is unique"}
	if !f.OK {
		f.Detail = r.cfg.Columns.ID + " has no unique index of its own, so a snapshot can't be read in its order"
		f.Fix = fmt.Sprintf("ALTER TABLE %s ADD UNIQUE (`%s`);", t.quoted(), r.cfg.Columns.ID)
	}
	return f, nil
}

// columnFindings checks that every mapped column exists and has a type that
// survives the binlog.
func (r *Reader) columnFindings(s *session, t table) (list []Finding, err error) {
	rows, err := s.rows(fmt.Sprintf("SELECT COLUMN_NAME, DATA_TYPE, COALESCE(CHARACTER_SET_NAME,'') FROM information_schema.COLUMNS "+
		"WHERE TABLE_SCHEMA='%s' AND TABLE_NAME='%s'", t.schema, t.name))
	if err != nil {
		return nil, err
	}
	types := make(map[string][2]string, len(rows))
	for _, row := range rows {
		types[strings.ToLower(row[0])] = [2]string{strings.ToLower(row[1]), strings.ToLower(row[2])}
	}
	for _, c := range r.cfg.Columns.list() {
		if c.name == NoColumn {
			continue
		}
		f := Finding{Name: fmt.Sprintf("column %s.%s", t, c.name), OK: true, Now: true}
		got, ok := types[strings.ToLower(c.name)]
		f.Detail = strings.TrimSpace(got[0] + " " + got[1])
		if !ok {
			f.OK, f.Detail, f.Fix = false, "there is no such column", "add it, or map the column that holds the "+c.field
		} else if problem, fix := unsuitable(c, got[0], got[1]); problem != "" {
			f.OK, f.Detail = false, f.Detail+": "+problem
			f.Fix = fmt.Sprintf("ALTER TABLE %s MODIFY `%s` %s;", t.quoted(), c.name, fix)
		}
		list = append(list, f)
	}
	return list, nil
}

// unsuitable says why a column can't be read from the binlog, and the type to use.
func unsuitable(c column, dataType, charset string) (problem, fix string) {
	if c.field == "CreatedAt" {
		if dataType != "timestamp" && dataType != "datetime" {
			return "it must be a point in time", "TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)"
		}
		return "", ""
	}
	fix = "VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
	if c.field == "Payload" || c.field == "Headers" {
		fix = "LONGBLOB"
	}
	switch dataType {
	case "binary":
		return "BINARY loses trailing zeros in the binlog", fix
	case "varchar", "char", "tinytext", "text", "mediumtext", "longtext", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "json":
	default:
		return "it must be text or binary", fix
	}
	switch charset {
	case "", "ascii", "utf8", "utf8mb3", "utf8mb4":
		return "", ""
	case "ucs2", "utf16", "utf16le", "utf32":
		return "the binlog holds it in this character set", fix
	}
	if c.field == "ID" || c.field == "Topic" { // ASCII only, which all others agree on
		return "", ""
	}
	return "the binlog holds it in this character set, which is not UTF-8", fix
}
