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
	if _, err := s.rows(fmt.Sprintf("SET SESSION lock_wait_timeout=%d", pinTimeout)); err != nil {
		return nil, err
	}
	_, err := s.rows("SELECT 1 FROM " + t.quoted() + " LIMIT 0")
	switch serverCode(err) {
	case mysql.ER_NO_SUCH_TABLE, mysql.ER_BAD_DB_ERROR:
		return []Finding{{Name: name, Now: true, Detail: "there is no such table", Fix: "binjet init creates it; or correct the name, upper and lower case included"}}, nil
	case mysql.ER_TABLEACCESS_DENIED_ERROR, mysql.ER_DBACCESS_DENIED_ERROR, mysql.ER_COLUMNACCESS_DENIED_ERROR:
		return []Finding{{Name: name, OK: true, Detail: "not checked: the account may not see it (it may replicate it all the same)"}}, nil
	case mysql.ER_LOCK_WAIT_TIMEOUT:
		if !snapshot { // the binlog can be read on, whoever waits for whom
			return []Finding{{Name: name, OK: true, Detail: "not checked: a statement that changes it waits for a lock, and who asks for the table waits behind it"}}, nil
		}
	}
	if err != nil {
		return nil, err
	}
	rows, err := s.rows(fmt.Sprintf("SELECT TABLE_NAME, ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA='%s' AND TABLE_NAME='%s'", t.schema, t.name))
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 { // it was just read, so another attempt tells what became of it or of the account
		return nil, fmt.Errorf("%s, or this account's right to it, was dropped during the check", name)
	}
	if stored := rows[0][0]; stored != t.name {
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
