package binlog

import (
	"context"
	"slices"
	"strings"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/binjet/binjet/checkpoint"
)

// askAfter is after how many heartbeats without anything else the server is asked
// whether its files are still those that are read.
const askAfter = 15

// watch looks at what a file position depends on, of each event of a dump: that
// another file begins, and that silence is not a RESET. A server whose binlog is
// reset goes on to send heartbeats for a file that is gone, until the new one of
// that name is longer.
func (s *stream) watch(ctx context.Context, at *cursor, raw []byte) error {
	if at == nil {
		return nil
	}
	switch replication.EventType(raw[4]) {
	case replication.HEARTBEAT_EVENT, replication.HEARTBEAT_LOG_EVENT_V2:
		if s.silent++; s.silent%askAfter == 0 {
			return s.ask(ctx)
		}
		return nil
	case replication.FORMAT_DESCRIPTION_EVENT:
		return s.enter(ctx, at)
	}
	s.silent = 0
	return nil
}

// ask verifies the position while the stream's own connection waits.
func (s *stream) ask(ctx context.Context) error {
	c, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	srv, err := c.describe()
	if err != nil {
		return err
	}
	if err := s.verify(srv, s.at); err != nil {
		return err
	}
	return s.verifyFiles(ctx, srv, s.at)
}

// fileError says more of an error that a server ended the dump of a file with: what
// it says itself of a file that is gone is that it can't read it.
func (s *stream) fileError(ctx context.Context, at *cursor, err error) error {
	if at == nil || serverCode(err) != mysql.ER_MASTER_FATAL_ERROR_READING_BINLOG {
		return err
	}
	if named := s.ask(ctx); named != nil {
		return named
	}
	if !at.moved && isNoEvent(err) {
		return halt(err, hintLostFiles, "no event of the binlog begins at the position %s", s.at.Binlog)
	}
	return err
}

// isNoEvent: what a server says of the first event that it is to send says that
// there is none. It is a small one where a transaction begins.
func isNoEvent(err error) bool {
	text := strings.ToLower(err.Error())
	return slices.ContainsFunc([]string{"truncated in the middle", "max_allowed_packet", "bogus data", "checksum", "crc check"},
		func(part string) bool { return strings.Contains(text, part) })
}

// enter moves the position into the next file, since the one before may be purged
// although nothing of it is missing. The server may have come to run with GTIDs.
func (s *stream) enter(ctx context.Context, at *cursor) error {
	if at.pos.File == s.at.Binlog.File {
		return nil
	}
	head := checkpoint.FilePosition{File: at.pos.File, Offset: firstOffset, Created: at.pos.Created}
	if err := s.emit(&checkpoint.Transaction{Binlog: head}); err != nil || !s.mayRestate() {
		return err
	}
	c, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	srv, err := c.describe()
	if err != nil || srv.withoutGTIDs() {
		return err
	}
	return errAgain
}
