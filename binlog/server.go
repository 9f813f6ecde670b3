package binlog

import (
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

	states    []checkpoint.GTID // MariaDB: the last of each domain and server
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
		if srv.Executed, err = srv.set("gtid_binlog_pos"); err != nil {
			return nil, err
		}
		return srv, srv.parseStates()
	}
	srv.UUID = srv.variables["server_uuid"]
	// Executed is read last: a transaction that commits in between may be in it,
	// and may not be missing from it.
	if srv.Purged, err = srv.set("gtid_purged"); err != nil {
		return nil, err
	}
	srv.Executed, err = srv.set("gtid_executed")
	return srv, err
}

// globals reads the variables that matter, lower-case name → value.
func (s *session) globals() (map[string]string, error) {
	names := []string{"server_uuid", "server_uid", "server_id", "log_bin", "binlog_format", "binlog_row_image", "binlog_row_metadata",
		"gtid_mode", "enforce_gtid_consistency", "log_replica_updates", "log_slave_updates", "gtid_purged", "gtid_executed",
		"gtid_binlog_pos", "gtid_binlog_state", "binlog_row_value_options", "lower_case_table_names"}
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

func (srv *Server) set(variable string) (checkpoint.GTIDSet, error) {
	set, err := checkpoint.ParseGTIDSet(srv.variables[variable])
	if err != nil {
		return set, fmt.Errorf("read %s of the server: %w", variable, err)
	}
	return set, nil
}

// parseStates reads gtid_binlog_state, which names a domain once per server.
func (srv *Server) parseStates() error {
	for _, member := range strings.Split(srv.variables["gtid_binlog_state"], ",") {
		g, err := checkpoint.ParseGTID(strings.TrimSpace(member))
		if err != nil {
			return fmt.Errorf("read gtid_binlog_state of the server: %w", err)
		}
		if !g.IsZero() {
			srv.states = append(srv.states, g)
		}
	}
	return nil
}
