package binlog

import (
	"encoding"
	"fmt"
	"strings"

	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/binjet/binjet/checkpoint"
)

// Server is what a server says of itself.
type Server struct {
	Flavor  checkpoint.Flavor
	Version string
	// UUID is MySQL's server_uuid. MariaDB's server_uid is a hash of the network
	// card and the port: it tells servers of one moment apart, but is no identity
	// of the data. "" where there is none.
	UUID string
	// Executed is all that the server has (MySQL gtid_executed), or where its
	// binlog stands (MariaDB gtid_binlog_pos); Purged is what its binlogs no longer
	// hold (MySQL only).
	Executed, Purged checkpoint.GTIDSet

	states    []checkpoint.GTID  // MariaDB: the last of each domain and server
	owned     checkpoint.GTIDSet // MySQL: its own that are in the binlog and not in Executed yet
	variables map[string]string
}

// flavorOf tells the flavour by the version that the server greets with.
func flavorOf(version string) checkpoint.Flavor {
	if strings.Contains(strings.ToLower(version), "mariadb") {
		return checkpoint.MariaDB
	}
	return checkpoint.MySQL
}

// flavorName is go-mysql's name of a flavour.
func flavorName(f checkpoint.Flavor) string {
	if f == checkpoint.MariaDB {
		return mysql.MariaDBFlavor
	}
	return mysql.MySQLFlavor
}

// describe asks the server for all that verification needs.
func (s *session) describe() (*Server, error) {
	srv := &Server{Version: s.GetServerVersion()}
	srv.Flavor = flavorOf(srv.Version)
	var err error
	if srv.variables, err = s.globals(); err != nil {
		return nil, err
	}
	if srv.Flavor == checkpoint.MariaDB {
		srv.UUID = srv.variables["server_uid"]
		if err := s.sets("gtid_binlog_pos", &srv.Executed, "gtid_binlog_state", (*states)(&srv.states)); err != nil {
			return nil, err
		}
		return srv, nil
	}
	srv.UUID = srv.variables["server_uuid"]
	owned, err := s.row("SELECT @@GLOBAL.gtid_owned") // before what they move to
	if err != nil {
		return nil, err
	}
	if srv.owned, err = ownOf(srv.UUID, owned[0]); err != nil {
		return nil, fmt.Errorf("read gtid_owned of the server: %w", err)
	}
	if err := s.sets("gtid_executed", &srv.Executed, "gtid_purged", &srv.Purged); err != nil {
		return nil, err
	}
	return srv, nil
}

// ownOf reads those of gtid_owned (uuid:5#34:6#35,…, with the thread behind each)
// that a server made itself. They wait for the engine, or for a semi-synchronous
// replica; whoever reads the binlog may have them.
func ownOf(uuid, owned string) (set checkpoint.GTIDSet, err error) {
	for _, member := range strings.Split(owned, ",") {
		if member = strings.TrimSpace(member); !strings.HasPrefix(strings.ToLower(member), strings.ToLower(uuid)+":") {
			continue
		}
		var parts []string
		for _, part := range strings.Split(member, ":") {
			gtid, _, _ := strings.Cut(part, "#")
			parts = append(parts, gtid)
		}
		one, err := checkpoint.ParseGTIDSet(strings.Join(parts, ":"))
		if err != nil {
			return set, err
		}
		set.AddSet(one)
	}
	return set, nil
}

// sets reads two variables that hold GTIDs. SHOW VARIABLES would cut them off.
func (s *session) sets(name1 string, to1 encoding.TextUnmarshaler, name2 string, to2 encoding.TextUnmarshaler) error {
	row, err := s.row("SELECT @@GLOBAL." + name1 + ", @@GLOBAL." + name2)
	if err != nil {
		return err
	}
	if err := to1.UnmarshalText([]byte(row[0])); err != nil {
		return fmt.Errorf("read %s of the server: %w", name1, err)
	}
	if err := to2.UnmarshalText([]byte(row[1])); err != nil {
		return fmt.Errorf("read %s of the server: %w", name2, err)
	}
	return nil
}

// globals reads the variables that matter, lower-case name → value.
func (s *session) globals() (map[string]string, error) {
	names := []string{"server_uuid", "server_uid", "log_bin", "binlog_format", "binlog_row_image", "binlog_row_metadata",
		"server_id", "gtid_mode"}
	rows, err := s.rows("SHOW GLOBAL VARIABLES WHERE Variable_name IN ('" + strings.Join(names, "','") + "')")
	if err != nil {
		return nil, err
	}
	vars := make(map[string]string, len(rows))
	for _, row := range rows {
		vars[strings.ToLower(row[0])] = row[1]
	}
	return vars, nil
}

// states is gtid_binlog_state, which names a domain once per server.
type states []checkpoint.GTID

// UnmarshalText reads it as the server shows it.
func (s *states) UnmarshalText(text []byte) error {
	for _, member := range strings.Split(string(text), ",") {
		g, err := checkpoint.ParseGTID(strings.TrimSpace(member))
		if err != nil {
			return err
		}
		if !g.IsZero() {
			*s = append(*s, g)
		}
	}
	return nil
}
