package binlog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/binjet/binjet/checkpoint"
)

const (
	goOnByFile = "go on: binjet position set, with latest or a file:offset, or a new source.name, whose source.start may also be snapshot (which repeats the rows that are in the tables) or earliest"

	hintOtherFiles = "File positions can't follow a fail-over: they mean nothing on another server. If this is the wrong server, correct its address; " +
		"if the one before is still there, let binjet read all of it first. Else compare the outbox tables with the stream by Outbox-Id, publish by hand what is missing, and " +
		goOnByFile + ". With gtid_mode=ON positions are of no single server"
	hintLostFiles = "The binlog is not the one that was read: it was reset (RESET BINARY LOGS), the server was restored from an older backup, " +
		"or it lost its end in a crash with sync_binlog other than 1. Compare the outbox tables with the stream by Outbox-Id, publish by hand what is missing, and " + goOnByFile
	hintPurgedFile = "Where the outbox tables keep their rows, set source.on_gap to rescan, which publishes those that the stream lacks. Else compare the outbox tables with the stream by Outbox-Id and publish by hand what is missing; then go on with all that the server still has " +
		"under a new source.name, with source.start=earliest. Keep binlogs longer than the longest downtime (binlog_expire_logs_seconds)"
	hintGTIDsOff = "Turn GTIDs on again (SET GLOBAL gtid_mode, in steps: OFF_PERMISSIVE, ON_PERMISSIVE, ON): the checkpoint is one of GTIDs. " +
		"What was committed without GTIDs meanwhile can't be read from it: publish that by hand, or " + goOnByFile
	hintAnonymous = "With gtid_mode=ON the server sends only transactions with GTIDs. Where the checkpoint is file:offset, SET GLOBAL gtid_mode=ON_PERMISSIVE " +
		"until binjet has read them, and then ON again. Else publish them by hand, and " + goOnBehind
	hintGTIDsOnBefore = "With gtid_mode=OFF the server sends only transactions without GTIDs: SET GLOBAL gtid_mode=OFF_PERMISSIVE until binjet has read them"
)

// withoutGTIDs: the server is MySQL, and gtid_mode is anything but ON.
func (srv *Server) withoutGTIDs() bool {
	mode := srv.variables["gtid_mode"]
	return srv.Flavor == checkpoint.MySQL && mode != "" && !strings.EqualFold(mode, "ON")
}

// logFile is a line of SHOW BINARY LOGS.
type logFile struct {
	name string
	size uint64
}

// logFiles are the binlogs that the server has, oldest first.
func (r *Reader) logFiles(ctx context.Context) ([]logFile, error) {
	s, err := r.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer s.close()
	rows, err := s.rows("SHOW BINARY LOGS")
	if err != nil {
		return nil, needsClient(err)
	}
	list := make([]logFile, len(rows))
	for i, row := range rows {
		n, err := strconv.ParseUint(row[1], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("SHOW BINARY LOGS: size of %s: %w", row[0], err)
		}
		list[i] = logFile{row[0], n}
	}
	if len(list) == 0 {
		return nil, errors.New("SHOW BINARY LOGS: the server lists no binlog")
	}
	return list, nil
}

// needsClient names the privilege that listing binlogs takes.
func needsClient(err error) error {
	if serverCode(err) == mysql.ER_SPECIFIC_ACCESS_DENIED_ERROR {
		return halt(err, "GRANT REPLICATION CLIENT ON *.* to the account", "without GTIDs binjet has to see which binlogs the server has")
	}
	return err
}

// logEnd is where the binlog of the server ends now, between two transactions.
func (s *session) logEnd() (p checkpoint.FilePosition, err error) {
	row, err := s.row("SHOW BINARY LOG STATUS")
	if serverCode(err) == mysql.ER_PARSE_ERROR { // before 8.2
		row, err = s.row("SHOW MASTER STATUS")
	}
	if err != nil {
		return p, needsClient(err)
	}
	p.File = row[0]
	if p.Offset, err = strconv.ParseUint(row[1], 10, 64); err != nil {
		return p, fmt.Errorf("SHOW BINARY LOG STATUS: %w", err)
	}
	return p, nil
}

// startFits refuses a start policy that names a position of the other kind.
func startFits(srv *Server, start string) error {
	if start == StartSnapshot || start == StartEarliest || start == StartLatest {
		return nil
	}
	_, err := checkpoint.ParseFilePosition(start)
	switch isFile := err == nil; {
	case isFile && !srv.withoutGTIDs():
		return halt(nil, "Set it to snapshot, earliest, latest or a GTID set", "source.start is the file position %s, and the server runs with GTIDs", start)
	case !isFile && srv.withoutGTIDs():
		return halt(nil, "Set it to snapshot, earliest, latest or file:offset; or turn GTIDs on",
			"source.start is the GTID set %s, and the server runs without GTIDs (gtid_mode=%s)", start, srv.variables["gtid_mode"])
	}
	return nil
}

// filesBegin is the position to begin from without GTIDs.
func (r *Reader) filesBegin(ctx context.Context, srv *Server) (p checkpoint.FilePosition, err error) {
	switch r.cfg.Start {
	case StartLatest:
		s, err := r.connect(ctx)
		if err != nil {
			return p, err
		}
		defer s.close()
		if p, err = s.logEnd(); err != nil {
			return p, err
		}
	default:
		logs, err := r.logFiles(ctx)
		if err != nil {
			return p, err
		}
		p = checkpoint.FilePosition{File: logs[0].name, Offset: firstOffset}
		if r.cfg.Start == StartEarliest {
			break
		}
		if p, err = checkpoint.ParseFilePosition(r.cfg.Start); err != nil {
			return p, err
		}
		if err := r.inFiles(srv, logs, checkpoint.Position{Binlog: p}); err != nil {
			return p, err
		}
	}
	p.Created, err = r.created(ctx, p.File)
	return p, err
}

var errCreated = constError("the head of the file was read")

// created is when the server began a binlog file.
func (r *Reader) created(ctx context.Context, file string) (at time.Time, err error) {
	o := origin{at: newCursor(checkpoint.FilePosition{File: file, Offset: firstOffset})}
	err = r.dumpAs(ctx, anyServerID(), checkpoint.MySQL, o, func(raw []byte) error {
		if replication.EventType(raw[4]) != replication.FORMAT_DESCRIPTION_EVENT {
			return nil
		}
		return errCreated
	})
	if !errors.Is(err, errCreated) {
		return at, fmt.Errorf("read the head of binlog %s: %w", file, err)
	}
	return o.at.pos.Created, nil
}

// verifyFiles says whether the server still has the file position of p, and all
// that p refers to.
func (r *Reader) verifyFiles(ctx context.Context, srv *Server, p checkpoint.Position) error {
	if p.Binlog.IsZero() {
		return nil
	}
	logs, err := r.logFiles(ctx)
	if err != nil {
		return err
	}
	if isPurged(logs, p.Binlog) && r.rescansFiles() {
		return nil
	}
	if err := r.inFiles(srv, logs, p); err != nil {
		return err
	}
	created, err := r.created(ctx, p.Binlog.File)
	if err != nil {
		return err
	}
	if !p.Binlog.Created.IsZero() && !created.Equal(p.Binlog.Created) {
		return halt(ErrForeign, hintLostFiles, "the server at %s%s began its binlog %s at %s, and the position %s is in one that was begun at %s",
			r.cfg.Addr, other(srv, p), p.Binlog.File, stamp(created), p.Binlog, stamp(p.Binlog.Created))
	}
	return nil
}

// inFiles compares a position with the binlogs of its server.
func (r *Reader) inFiles(srv *Server, logs []logFile, p checkpoint.Position) error {
	first, last := logs[0], logs[len(logs)-1]
	found, ok := find(logs, p.Binlog.File)
	switch {
	case isPurged(logs, p.Binlog):
		return halt(ErrPurged, hintPurgedFile, "the server at %s no longer has what follows the position %s: its oldest binlog is %s", r.cfg.Addr, p.Binlog, first.name)
	case !ok:
		return halt(ErrForeign, hintLostFiles, "the server at %s%s has no binlog %s, which the position %s is in: it has %s to %s",
			r.cfg.Addr, other(srv, p), p.Binlog.File, p.Binlog, first.name, last.name)
	case found.size < p.Binlog.Offset:
		return halt(ErrForeign, hintLostFiles, "the server at %s%s has %d bytes of its binlog %s, and the position is %s",
			r.cfg.Addr, other(srv, p), found.size, found.name, p.Binlog)
	}
	for _, x := range p.XA {
		if _, ok := find(logs, x.GTID.File); !ok && x.Rows > 0 {
			return lostXA(x)
		}
	}
	return nil
}

// isPurged: the file of p is gone, and was before all that there are.
func isPurged(logs []logFile, p checkpoint.FilePosition) bool {
	_, ok := find(logs, p.File)
	return !ok && p.Before(checkpoint.FilePosition{File: logs[0].name})
}

func find(logs []logFile, name string) (logFile, bool) {
	i := slices.IndexFunc(logs, func(l logFile) bool { return l.name == name })
	if i < 0 {
		return logFile{}, false
	}
	return logs[i], true
}
