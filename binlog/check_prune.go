package binlog

import (
	"context"
	"fmt"
	"strings"

	"github.com/binjet/binjet/checkpoint"
)

// CheckPrune reports what deleting old rows of the outbox tables takes: privileges,
// a server that may be written, an index to find rows by and a column of their age. It
// has nothing to do with reading the binlog. The error is only one of the connection.
func (r *Reader) CheckPrune(ctx context.Context) ([]Finding, error) {
	s, err := r.connect(ctx)
	if err != nil {
		return []Finding{{Name: "connection", Detail: err.Error(), Fix: nextStep(err)}}, err
	}
	defer s.close()
	list, err := r.pruneFindings(s)
	if err != nil {
		return list, fmt.Errorf("check what pruning needs: %w", err)
	}
	return list, nil
}

func (r *Reader) pruneFindings(s *session) ([]Finding, error) {
	srv, err := s.describe()
	if err != nil {
		return nil, err
	}
	writable, err := s.writable(srv)
	if err != nil {
		return nil, err
	}
	list := []Finding{writable}
	grants, account, err := s.grants(srv)
	if err != nil {
		return nil, err
	}
	for _, t := range r.tables.list {
		parted, err := s.partitioned(t)
		if err != nil {
			return list, err
		}
		granted := true
		for _, privilege := range forPruning(parted) {
			f := grants.finding(privilege, t, t.quoted(), account)
			if aside := (table{t.schema, t.name + "_pruned"}); parted && !f.OK {
				f.Fix += fmt.Sprintf(" GRANT %s ON %s TO %s;", "ALL", aside.quoted(), account)
			}
			granted = granted && f.OK
			list = append(list, f)
		}
		if !granted { // the table can't be looked at, or it is no use
			continue
		}
		found, err := r.prunable(s, t)
		if err != nil {
			return list, err
		}
		list = append(list, found...)
	}
	return list, nil
}

// forPruning lists what is needed on a table: a partition is exchanged with a table
// beside it, which is then dropped.
func forPruning(partitioned bool) []string {
	if partitioned {
		return []string{"SELECT", "INSERT", "ALTER", "CREATE", "DROP"}
	}
	return []string{"SELECT", "DELETE"}
}

// partitioned is false for what the account may not see.
func (s *session) partitioned(t table) (bool, error) {
	rows, err := s.rows(fmt.Sprintf("SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA='%s' AND TABLE_NAME='%s' AND CREATE_OPTIONS LIKE '%%partitioned%%'", t.schema, t.name))
	return len(rows) > 0, err
}

// writable: a replica refuses writes, and one that takes them is no replica any more.
func (s *session) writable(srv *Server) (Finding, error) {
	names := "'read_only'"
	if srv.Flavor == checkpoint.MySQL {
		names += ", 'super_read_only'"
	}
	rows, err := s.rows("SHOW GLOBAL VARIABLES WHERE Variable_name IN (" + names + ")")
	f := Finding{Name: "read_only", OK: true, Detail: "OFF"}
	for _, row := range rows {
		if on := strings.ToUpper(row[1]); on != "OFF" && on != "0" {
			f.OK, f.Detail = false, row[0]+" is "+on+": the server is a replica"
			f.Fix = "prune at the server that it replicates: set retention.keep to 0 here, and run binjet prune with the DSN of that one"
		}
	}
	return f, err
}

// prunable checks what the table has for finding old rows.
func (r *Reader) prunable(s *session, t table) ([]Finding, error) {
	rows, err := s.rows(fmt.Sprintf("SELECT ENGINE, CREATE_OPTIONS FROM information_schema.TABLES WHERE TABLE_SCHEMA='%s' AND TABLE_NAME='%s'", t.schema, t.name))
	switch {
	case err != nil:
		return nil, err
	case len(rows) == 0:
		return nil, nil // reading says that it is not there
	case strings.EqualFold(rows[0][0], "BLACKHOLE"):
		return []Finding{{Name: "table " + t.String() + " rows", OK: true, Detail: "a BLACKHOLE table keeps none: nothing to prune"}}, nil
	}
	age := Finding{Name: fmt.Sprintf("table %s age", t), OK: r.cfg.Columns.CreatedAt != NoColumn, Detail: "by " + r.cfg.Columns.CreatedAt}
	if !age.OK {
		age.Detail, age.Fix = "no column says how old a row is", "map it by source.columns.created_at, or set retention.keep to 0"
	}
	if strings.Contains(strings.ToLower(rows[0][1]), "partitioned") {
		return []Finding{age}, nil
	}
	key, err := r.keyFinding(s, t)
	if !key.OK {
		key.Detail = r.cfg.Columns.ID + " has no unique index of its own, by which old rows are found"
	}
	return []Finding{age, key}, err
}
