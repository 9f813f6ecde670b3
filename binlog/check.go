package binlog

import (
	"context"
	"fmt"
	"strings"

	"github.com/binjet/binjet/checkpoint"
)

// Finding is one precondition of reading, and whether it holds.
type Finding struct {
	// Name is what was looked at, such as "binlog_format".
	Name string
	OK   bool
	// Detail is what was found, Fix the statement that mends it.
	Detail, Fix string
	// Now says that it is about a table's name or columns as they are at present. What
	// is read from a checkpoint on may be older, and is judged by what the binlog says
	// of it: so there a fault is a warning.
	Now bool
	// Warning says of one that is OK what is lost all the same; "" for nothing.
	Warning string
}

func (f Finding) String() string {
	s := f.Name + ": " + f.Detail
	if f.Fix != "" {
		s += " (" + f.Fix + ")"
	}
	return s
}

// CheckError lists every precondition of the source that does not hold.
type CheckError struct{ Faults []Finding }

func (e *CheckError) Error() string {
	list := make([]string, len(e.Faults))
	for i, f := range e.Faults {
		list[i] = f.String()
	}
	return strings.Join(list, "; ")
}

// Check reports every precondition of beginning to read the source, by
// [Config.Start], whether it holds or not. The error is only one of the
// connection; a refused connection is a finding too.
func (r *Reader) Check(ctx context.Context) ([]Finding, error) {
	return r.check(ctx, r.beginning())
}

// CheckAt is [Reader.Check] for reading on behind p. What only a snapshot needs is
// not asked for once that is behind, and tables may have changed since.
func (r *Reader) CheckAt(ctx context.Context, p checkpoint.Position) ([]Finding, error) {
	why := purposeAt(p)
	findings, err := r.check(ctx, why)
	for i := range findings {
		if f := &findings[i]; !f.OK && f.Now && why == toResume {
			f.OK, f.Warning = true, "reading goes on behind the checkpoint, up to a row that this concerns; fix: "+f.Fix
		}
	}
	return findings, err
}

func (r *Reader) check(ctx context.Context, why purpose) ([]Finding, error) {
	s, err := r.connect(ctx)
	if err != nil {
		return []Finding{{Name: "connection", Detail: err.Error(), Fix: nextStep(err)}}, err
	}
	defer s.close()
	findings := []Finding{{Name: "connection", OK: true, Detail: fmt.Sprintf("%s as %q", r.cfg.Addr, r.cfg.User)}}
	srv, err := s.describe()
	if err != nil {
		return findings, fmt.Errorf("check the source: %w", err)
	}
	more, err := r.findings(s, srv, why)
	if err != nil {
		return findings, fmt.Errorf("check the source: %w", err)
	}
	if err := startFits(srv, r.cfg.Start); err != nil && why != toResume {
		more = append(more, Finding{Name: "start", Detail: err.Error()})
	}
	return append(findings, more...), nil
}

// purpose is what a connection is for, and so what must be found there.
type purpose int

const (
	toResume   purpose = iota // read on behind a position
	toBegin                   // begin without one
	toSnapshot                // read the tables
)

// beginning is the purpose of a first connection.
func (r *Reader) beginning() purpose {
	if r.cfg.Start == StartSnapshot {
		return toSnapshot
	}
	return toBegin
}

// purposeAt is the purpose of a connection at a position.
func purposeAt(p checkpoint.Position) purpose {
	if p.Snapshot != nil {
		return toSnapshot
	}
	return toResume
}

// readsTables: the tables are to be read, or may have to be.
func (r *Reader) readsTables(why purpose) bool {
	return why == toSnapshot || r.cfg.OnGap == RescanOnGap
}

// ready connects and returns the facts of a server that fulfils every
// precondition of its purpose. Faults are a *checkpoint.HaltError with a
// *[CheckError] in it.
func (r *Reader) ready(ctx context.Context, why purpose) (*Server, error) {
	s, err := r.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer s.close()
	srv, err := s.describe()
	if err != nil {
		return nil, err
	}
	return srv, r.require(s, srv, why)
}

func (r *Reader) require(s *session, srv *Server, why purpose) error {
	findings, err := r.findings(s, srv, why)
	if err != nil {
		return err
	}
	var faults []Finding
	for _, f := range findings {
		switch {
		case f.OK:
		case f.Now && why == toResume:
			r.log.Warn("a table is not as it is configured: rows that were written while it was are still read", "check", f.Name, "detail", f.Detail, "fix", f.Fix)
		default:
			faults = append(faults, f)
		}
	}
	if faults == nil {
		return nil
	}
	return halt(&CheckError{faults}, "Mend them and start again", "the source at %s is not set up for binjet", r.cfg.Addr)
}

func (r *Reader) findings(s *session, srv *Server, why purpose) ([]Finding, error) {
	list := r.settings(srv)
	grants, err := r.grantFindings(s, srv, r.readsTables(why))
	if err != nil {
		return nil, err
	}
	list = append(list, grants...)
	if what := r.mapping.String(); what != "" {
		list = append(list, Finding{Name: "mapping", OK: true, Detail: what})
	}
	for _, t := range r.tables.list {
		found, err := r.tableFindings(s, t, r.readsTables(why))
		if err != nil {
			return nil, err
		}
		list = append(list, found...)
	}
	return list, nil
}

// settings checks the global variables. A session may still differ, which is
// found when its rows arrive.
func (r *Reader) settings(srv *Server) []Finding {
	flavor := Finding{Name: "flavor", OK: true, Detail: string(srv.Flavor) + " " + srv.Version}
	if r.cfg.Flavor != "" && r.cfg.Flavor != srv.Flavor {
		flavor.OK, flavor.Fix = false, fmt.Sprintf("correct the address, or the configured flavour %s", r.cfg.Flavor)
	}
	list := []Finding{flavor}
	want := func(name, value, fix string) {
		got, known := srv.variables[name]
		f := Finding{Name: name, OK: strings.EqualFold(got, value), Detail: got}
		if !known {
			f.Detail = "the server does not know it: it is too old"
		}
		if !f.OK {
			f.Fix = fix
		}
		list = append(list, f)
	}
	set := "SET GLOBAL %[1]s=%[2]s; and %[1]s=%[2]s in the server's configuration; then reconnect the services"
	if srv.Flavor == checkpoint.MySQL {
		set = "SET PERSIST %[1]s=%[2]s; then reconnect the services"
	}
	want("log_bin", "ON", "log_bin=binlog in the server's configuration, and a restart")
	for _, v := range [][2]string{{"binlog_format", "ROW"}, {"binlog_row_image", "FULL"}, {"binlog_row_metadata", "FULL"}} {
		want(v[0], v[1], fmt.Sprintf(set, v[0], v[1]))
	}
	switch {
	case srv.withoutGTIDs():
		return append(list, Finding{Name: "gtid_mode", OK: true, Detail: srv.variables["gtid_mode"], Warning: warnWithoutGTIDs})
	case srv.Flavor == checkpoint.MySQL:
		want("gtid_mode", "ON", "")
	}
	return list
}

const warnWithoutGTIDs = "positions are file:offset of this one server: binjet can't follow a fail-over to another one, nor a restored copy of this one. " +
	"To turn GTIDs on without downtime: SET PERSIST enforce_gtid_consistency=WARN; and when nothing is logged, =ON; then SET PERSIST gtid_mode=OFF_PERMISSIVE; " +
	"=ON_PERMISSIVE; and once binjet has read all that was committed before, =ON"

// grantFindings checks the privileges of the account.
func (r *Reader) grantFindings(s *session, srv *Server, snapshot bool) ([]Finding, error) {
	grants, account, err := s.grants(srv)
	if err != nil {
		return nil, err
	}
	var list []Finding
	need := func(privilege string, on table, object string) {
		list = append(list, grants.finding(privilege, on, object, account))
	}
	need("REPLICATION SLAVE", table{}, "*.*")
	if srv.withoutGTIDs() {
		need("REPLICATION CLIENT", table{}, "*.*")
	}
	if !snapshot {
		return list, nil
	}
	locks := srv.Flavor == checkpoint.MySQL
	if !locks {
		if locks, err = s.usesXA(); err != nil {
			return nil, err
		}
	}
	for _, t := range r.tables.list {
		need("SELECT", t, t.quoted())
		if locks {
			need("LOCK TABLES", t, "`"+t.schema+"`.*")
		}
	}
	return list, nil
}
