package binlog

import (
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
)

// dumpError tells the errors that end a stream from those that end a connection.
func (s *stream) dumpError(err error) error {
	if serverCode(err) != mysql.ER_MASTER_FATAL_ERROR_READING_BINLOG {
		return err
	}
	return err
}

// nextStep says what somebody can do about a connection that can't be opened.
func nextStep(err error) string {
	switch serverCode(err) {
	case mysql.ER_ACCESS_DENIED_ERROR, mysql.ER_DBACCESS_DENIED_ERROR:
		return "check user and password"
	case mysql.ER_SPECIFIC_ACCESS_DENIED_ERROR:
		return "GRANT REPLICATION SLAVE ON *.* to the account"
	case mysql.ER_CON_COUNT_ERROR:
		return "raise max_connections"
	case 0:
		return "none if this passes: check the network and the server if it stays"
	}
	return "see the error"
}

// foreignWrites counts statement-format writes to other tables, to warn of them
// once a minute.
type foreignWrites struct {
	count  int
	warned time.Time
}

func (s *stream) foreignWrite(query string) {
	f := &s.foreign
	f.count++
	if time.Since(f.warned) < time.Minute {
		return
	}
	s.log.Warn("statements are logged in statement format: should one of their triggers or functions write an outbox table, its events are lost",
		"count", f.count, "last", query[:min(len(query), 200)], "next", "set binlog_format=ROW and find the sessions that change it")
	*f = foreignWrites{warned: time.Now()}
}
