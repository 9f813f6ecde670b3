package prune

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/binjet/binjet/checkpoint"
)

// horizon asks the server what its binlog holds, in the terms of at.
func (s *session) horizon(ctx context.Context, at checkpoint.Position) (h Horizon, err error) {
	h.Flavor = s.flavor
	switch {
	case s.flavor == checkpoint.MariaDB:
		err = s.mariaDB(ctx, &h)
	case !at.Binlog.IsZero():
		err = s.logEnd(ctx, &h)
	default:
		err = s.mySQL(ctx, &h)
	}
	if err != nil {
		return h, fmt.Errorf("ask the server where its binlog stands: %w", err)
	}
	return h, nil
}

func (s *session) mySQL(ctx context.Context, h *Horizon) error {
	mode, err := s.one(ctx, "SELECT @@GLOBAL.gtid_mode")
	if err != nil {
		return err
	}
	if !strings.EqualFold(mode, "ON") {
		return fmt.Errorf("gtid_mode is %s, and the checkpoint is one of GTIDs: transactions without one would not be seen", mode)
	}
	owned, err := s.one(ctx, "SELECT @@GLOBAL.gtid_owned") // before what they move to
	if err != nil {
		return err
	}
	executed, err := s.one(ctx, "SELECT @@GLOBAL.gtid_executed")
	if err != nil {
		return err
	}
	if h.GTIDs, err = checkpoint.ParseGTIDSet(executed); err != nil {
		return err
	}
	h.settled = h.GTIDs.Clone()
	more, err := parseOwned(owned)
	h.GTIDs.AddSet(more)
	return err
}

// parseOwned reads gtid_owned: uuid:5#34:6#35,… with the thread behind each.
func parseOwned(text string) (set checkpoint.GTIDSet, err error) {
	for _, member := range strings.Split(text, ",") {
		var parts []string
		for _, part := range strings.Split(strings.TrimSpace(member), ":") {
			gtid, _, _ := strings.Cut(part, "#")
			parts = append(parts, gtid)
		}
		one, err := checkpoint.ParseGTIDSet(strings.Join(parts, ":"))
		if err != nil {
			return set, fmt.Errorf("gtid_owned %q: %w", text, err)
		}
		set.AddSet(one)
	}
	return set, nil
}

func (s *session) mariaDB(ctx context.Context, h *Horizon) error {
	pos, err := s.one(ctx, "SELECT @@GLOBAL.gtid_binlog_pos")
	if err != nil {
		return err
	}
	state, err := s.one(ctx, "SELECT @@GLOBAL.gtid_binlog_state")
	if err != nil {
		return err
	}
	if h.GTIDs, err = checkpoint.ParseGTIDSet(pos); err != nil {
		return err
	}
	h.settled = h.GTIDs
	for _, member := range strings.Split(state, ",") {
		g, err := checkpoint.ParseGTID(strings.TrimSpace(member))
		if err != nil {
			return fmt.Errorf("gtid_binlog_state %q: %w", state, err)
		}
		if !g.IsZero() {
			h.States = append(h.States, g)
		}
	}
	return nil
}

const errParse = 1064

// logEnd is where the binlog ends; MySQL without GTIDs only.
func (s *session) logEnd(ctx context.Context, h *Horizon) (err error) {
	if h.UUID, err = s.one(ctx, "SELECT @@GLOBAL.server_uuid"); err != nil {
		return err
	}
	rows, err := s.conn.QueryContext(ctx, "SHOW BINARY LOG STATUS")
	if s.cfg.ErrorCode(err) == errParse { // before 8.2
		rows, err = s.conn.QueryContext(ctx, "SHOW MASTER STATUS")
	}
	if err != nil {
		return fmt.Errorf("SHOW BINARY LOG STATUS: %w", err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	values, to := make([]sql.NullString, len(columns)), make([]any, len(columns))
	for i := range values {
		to[i] = &values[i]
	}
	if !rows.Next() {
		return errors.Join(errors.New("SHOW BINARY LOG STATUS: the server writes no binlog"), rows.Err())
	}
	if err := rows.Scan(to...); err != nil {
		return err
	}
	h.File.File = values[0].String
	h.File.Offset, err = strconv.ParseUint(values[1].String, 10, 64)
	return err
}
