package binlog

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/binjet/binjet/checkpoint"
)

// Survey is what a server says of its binlog, and of a position in it, for people.
type Survey struct {
	Server
	// Now is the time by the server's clock.
	Now time.Time
	// End is where the binlog ends.
	End checkpoint.Position
	// Behind is about how many transactions of all tables lie between the position
	// and End: for MariaDB by their numbers. BehindBytes takes its place where
	// positions are in files.
	Behind, BehindBytes uint64
	// Keep is how long the server keeps a binlog file after its last write; 0 for ever.
	Keep time.Duration
	// Logs are the binlog files, oldest first. LogsError says why there are none,
	// mostly a privilege that the account need not have.
	Logs      []Log
	LogsError error
	// Needed is the index in Logs of the oldest file that has to be read from the
	// position on, for an undecided XA transaction too; -1 when it is not known, or gone.
	Needed int
}

// Log is a binlog file.
type Log struct {
	Name string
	Size uint64
	// Begun is when the server began it; zero where nobody asked.
	Begun time.Time
}

// NeededBytes is the size of the needed file and of all behind it.
func (v *Survey) NeededBytes() (n uint64) {
	if v.Needed < 0 {
		return 0
	}
	for _, l := range v.Logs[v.Needed:] {
		n += l.Size
	}
	return n
}

// Left is how long the needed file is kept at least, from now on; false when it is
// the one that is written, is kept for ever, or is not known.
func (v *Survey) Left() (time.Duration, bool) {
	if v.Needed < 0 || v.Needed+1 >= len(v.Logs) || v.Keep == 0 || v.Logs[v.Needed+1].Begun.IsZero() {
		return 0, false
	}
	return v.Keep - v.Now.Sub(v.Logs[v.Needed+1].Begun), true
}

// Survey asks the server for its binlog, and where p is in it; p may be nil. It
// changes nothing, and needs no more privileges than reading does: without
// REPLICATION CLIENT (MariaDB: BINLOG MONITOR) there are no Logs. The heads of
// some files are read for it, as a replica would.
func (r *Reader) Survey(ctx context.Context, p *checkpoint.Position) (*Survey, error) {
	s, err := r.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer s.close()
	srv, err := s.describe()
	if err != nil {
		return nil, fmt.Errorf("survey the source: %w", err)
	}
	v := &Survey{Server: *srv, Needed: -1}
	if err := s.survey(v); err != nil {
		return nil, fmt.Errorf("survey the source: %w", err)
	}
	logs, err := r.logFiles(ctx)
	if err != nil {
		v.LogsError = err
	}
	for _, l := range logs {
		v.Logs = append(v.Logs, Log{Name: l.name, Size: l.size})
	}
	if p == nil || unread(*p) {
		return v, nil
	}
	v.measure(srv, *p)
	if len(v.Logs) > 0 {
		if err := r.locateNeeded(ctx, v, *p); err != nil {
			v.LogsError = err
		}
	}
	return v, nil
}

// survey asks for what has an answer on every server.
func (s *session) survey(v *Survey) error {
	row, err := s.row("SELECT UNIX_TIMESTAMP(NOW(6))")
	if err != nil {
		return err
	}
	seconds, err := strconv.ParseFloat(row[0], 64)
	if err != nil {
		return fmt.Errorf("the server's clock: %w", err)
	}
	v.Now = time.UnixMicro(int64(seconds * 1e6)).UTC()
	v.End = checkpoint.Position{Flavor: v.Flavor, ServerUUID: v.UUID, Resume: v.Executed}
	if v.withoutGTIDs() {
		v.End.Resume = checkpoint.GTIDSet{}
		if v.End.Binlog, err = s.logEnd(); err != nil {
			return err
		}
	}
	rows, err := s.rows("SHOW GLOBAL VARIABLES WHERE Variable_name IN ('binlog_expire_logs_seconds','expire_logs_days','binlog_expire_logs_auto_purge')")
	if err != nil {
		return err
	}
	v.Keep, err = keepOf(rows)
	return err
}

// keepOf is the age at which binlogs are purged, 0 for none. Servers know one of two
// variables or both, of which the one that is set counts.
func keepOf(rows [][]string) (keep time.Duration, err error) {
	for _, row := range rows {
		switch name, value := strings.ToLower(row[0]), row[1]; name {
		case "binlog_expire_logs_auto_purge":
			if !strings.EqualFold(value, "ON") {
				return 0, nil
			}
		default:
			n, err := strconv.ParseFloat(value, 64) // MariaDB's days have a fraction
			if err != nil {
				return 0, fmt.Errorf("variable %s: %w", name, err)
			}
			unit := time.Second
			if name == "expire_logs_days" {
				unit = 24 * time.Hour
			}
			keep = max(keep, time.Duration(n*float64(unit)).Round(time.Second))
		}
	}
	return keep, nil
}

// measure says how far p is behind the end.
func (v *Survey) measure(srv *Server, p checkpoint.Position) {
	switch {
	case !p.Binlog.IsZero():
		at := checkpoint.FilePosition{File: p.Binlog.File}
		for _, l := range v.Logs {
			if log := (checkpoint.FilePosition{File: l.Name}); at.File == l.Name || at.Before(log) {
				v.BehindBytes += l.Size
			}
		}
		v.BehindBytes -= min(v.BehindBytes, p.Binlog.Offset)
	default:
		v.Behind = srv.Executed.Ahead(p.Resume)
	}
}
