package binlog

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/binjet/binjet/checkpoint"
	"github.com/binjet/binjet/internal/tlsfault"
)

// dumpError tells the errors of a server that ends a dump for good from those
// that end a connection. Error 1236 stands for all of the former and some of the
// latter, so its text decides.
func (s *stream) dumpError(err error) error {
	if serverCode(err) != mysql.ER_MASTER_FATAL_ERROR_READING_BINLOG {
		return err
	}
	text := strings.ToLower(err.Error())
	has := func(part string) bool { return strings.Contains(text, part) }
	at := s.at.Where()
	switch {
	case has("same server_uuid/server_id"), has("shutdown"), has("truncated in the middle"):
		return err
	case has("cannot replicate anonymous"):
		return halt(constErrors{ErrGTIDMode, err}, hintAnonymous, "transactions without GTID follow the position %q, and the server does not send them", at)
	case has("cannot replicate gtid-transaction"):
		return halt(constErrors{ErrGTIDMode, err}, hintGTIDsOnBefore, "transactions with GTIDs follow the position %q, and the server does not send them", at)
	case has("position > file size"):
		return halt(constErrors{ErrForeign, err}, hintForeign, "the server can't go on from position %q", at)
	case has("purged"), has("could not find gtid state"), has("first log file"):
		return halt(constErrors{ErrPurged, err}, hintPurged, "the server can't go on from position %q", at)
	case has("not in the master's binlog"), has("more gtids than"), has("missing the gtid"), has("which is not in"):
		return halt(constErrors{ErrForeign, err}, hintForeign, "the server can't go on from position %q", at)
	case has("max_allowed_packet"):
		return halt(err, "Raise max_allowed_packet on the server", "an event behind position %q is larger than the server may send", at)
	}
	return halt(err, "Look into the server's error log", "the server can't read its binlog behind position %q", at)
}

// constErrors is a meaning and the error that has it.
type constErrors struct {
	meaning constError
	err     error
}

func (e constErrors) Error() string   { return e.meaning.Error() + ": " + e.err.Error() }
func (e constErrors) Unwrap() []error { return []error{e.meaning, e.err} }

// Error numbers that go-mysql has no names for.
const (
	secureTransportRequired = 3159 // ER_SECURE_TRANSPORT_REQUIRED
	accountLocked           = 3118 // ER_ACCOUNT_HAS_BEEN_LOCKED
	accountLockedMariaDB    = 4151
)

// nextStep says what somebody can do about a connection that can't be opened.
func nextStep(err error) string {
	var lagging *LagError
	var renewing renewError
	switch {
	case errors.As(err, &renewing):
		return "none while it is being written; else mend it: it is read again at each attempt"
	case errors.As(err, &lagging):
		return "none while it catches up; else look at its replication, or correct the address"
	case tlsfault.Is(err):
		return tlsfault.Next(err)
	}
	switch serverCode(err) {
	case secureTransportRequired:
		return "the server wants TLS: configure it"
	case mysql.ER_ACCESS_DENIED_ERROR, mysql.ER_DBACCESS_DENIED_ERROR:
		return "check user and password"
	case accountLocked, accountLockedMariaDB:
		return "ALTER USER … ACCOUNT UNLOCK, or use another account"
	case mysql.ER_MUST_CHANGE_PASSWORD, mysql.ER_MUST_CHANGE_PASSWORD_LOGIN:
		return "give the account a new password, here and there; ALTER USER … PASSWORD EXPIRE NEVER keeps it"
	case mysql.ER_SPECIFIC_ACCESS_DENIED_ERROR:
		return "GRANT REPLICATION SLAVE ON *.* to the account"
	case mysql.ER_CON_COUNT_ERROR:
		return "raise max_connections"
	case mysql.ER_MASTER_FATAL_ERROR_READING_BINLOG:
		return "if it stays: is the server ID that of another replica?"
	case 0:
		return "none if this passes: check the network and the server if it stays"
	}
	return "see the error"
}

// advisedError is an error that may pass, with what somebody can do about it in its text.
type advisedError struct {
	err  error
	next string
}

func (e advisedError) Error() string { return e.err.Error() + "; next: " + e.next }
func (e advisedError) Unwrap() error { return e.err }

// advise adds the next step to an error of the connection.
func advise(ctx context.Context, err error) error {
	var already advisedError
	var halted *checkpoint.HaltError
	if err == nil || ctx.Err() != nil || errors.As(err, &already) || errors.As(err, &halted) {
		return err
	}
	return advisedError{err, nextStep(err)}
}

// rarely counts what is warned of once a minute.
type rarely struct {
	count  int
	warned time.Time
}

// due counts one more and says whether to warn, of how many.
func (r *rarely) due() (count int, due bool) {
	r.count++
	if time.Since(r.warned) < time.Minute {
		return 0, false
	}
	count, *r = r.count, rarely{warned: time.Now()}
	return count, true
}

func (s *stream) foreignWrite(query string) {
	if count, due := s.foreign.due(); due {
		s.log.Warn("statements are logged in statement format: should one of their triggers or functions write an outbox table, its events are lost",
			"count", count, "last", query[:min(len(query), 200)], "next", "set binlog_format=ROW and find the sessions that change it")
	}
}

func (s *stream) ignoredUpdate(t table, id string) {
	if count, due := s.updates.due(); due {
		s.log.Warn("updates of outbox rows are passed over: one that was a REPLACE or an upsert of an ID that exists is a lost event",
			"count", count, "table", t.String(), "last", id, "next", "none if they only mark rows; else set source.on_update to halt")
	}
}
