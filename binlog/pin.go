package binlog

import (
	"context"
	"fmt"
	"strings"

	"github.com/go-mysql-org/go-mysql/mysql"
)

// pinTimeout bounds the wait for a change of a table that waits for us, in
// seconds: writers wait behind it.
const pinTimeout = 1

// pin keeps the outbox tables what they are until the session's transaction ends:
// renaming, truncating and altering them waits. A snapshot that has not read a
// table yet would else read what took its name.
func (s *stream) pin(view *session) error {
	if _, err := view.rows(fmt.Sprintf("SET SESSION lock_wait_timeout=%d", pinTimeout)); err != nil {
		return err
	}
	for _, t := range s.tables.list {
		_, err := view.rows("SELECT 1 FROM " + t.quoted() + " LIMIT 0")
		if serverCode(err) == mysql.ER_LOCK_WAIT_TIMEOUT {
			return fmt.Errorf("a statement that changes outbox table %s is at work, or waits for a transaction: %w", t, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// pinned is a session that pins the tables, so that they are the same before and
// after a snapshot begins, which ends the pins of its own session.
func (s *stream) pinned(ctx context.Context) (*session, error) {
	c, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	if _, err = c.rows("START TRANSACTION"); err == nil {
		err = s.pin(c)
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// removes says by which words a statement takes rows away from tables without an
// event for each row; "" when it does not. It errs on the safe side.
func removes(query string) string {
	l := lexer{s: query}
	switch w := l.word(); w {
	case "DELETE":
		return "DELETE in statement format"
	case "TRUNCATE":
		return "TRUNCATE TABLE"
	case "RENAME":
		return "RENAME TABLE"
	case "DROP":
		switch kind := l.word(); kind {
		case "TABLE", "TABLES", "DATABASE", "SCHEMA":
			return "DROP " + kind
		}
	case "CREATE":
		if l.word() == "OR" && l.word() == "REPLACE" && l.word() == "TABLE" {
			return "CREATE OR REPLACE TABLE"
		}
	case "ALTER":
		return alterRemoves(&l)
	}
	return ""
}

// alterRemoves looks for pairs of words: the grammar of ALTER TABLE is open-ended.
func alterRemoves(l *lexer) string {
	for before := ""; l.next(); {
		w := strings.ToUpper(l.tok)
		switch before + " " + w {
		case "DROP PARTITION", "TRUNCATE PARTITION", "EXCHANGE PARTITION", "CONVERT PARTITION", "DISCARD TABLESPACE", "DISCARD PARTITION",
			"RENAME TO", "RENAME AS", "RENAME =":
			return before + " " + w
		}
		if before == "RENAME" && w != "COLUMN" && w != "INDEX" && w != "KEY" { // TO may be left out
			return "RENAME TO"
		}
		before = w
	}
	return ""
}
