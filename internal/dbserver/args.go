package dbserver

// serverArgs are the options that a server runs with wherever it runs.
func serverArgs(o Options) []string {
	if o.Flavor == PostgreSQL {
		return postgresArgs(o)
	}
	args := []string{
		"--server-id=1", "--skip-name-resolve",
		"--log-bin=binlog", "--binlog-format=ROW",
		"--binlog-row-image=FULL", "--binlog-row-metadata=FULL",
	}
	args = append(args, sizeArgs(o.Flavor)...)
	if o.Flavor == MySQL {
		args = append(args, "--gtid-mode=ON", "--enforce-gtid-consistency=ON",
			"--secure-file-priv=", "--loose-mysqlx=OFF", "--binlog-expire-logs-seconds=0")
	} else {
		args = append(args, "--expire-logs-days=0")
	}
	if o.Durable {
		return append(args, "--sync-binlog=1", "--innodb-flush-log-at-trx-commit=1")
	}
	// 2 and not 0: with 0 the redo log waits in the server's own memory for up to
	// a second, and what was committed dies with the process.
	return append(args, "--sync-binlog=0", "--innodb-flush-log-at-trx-commit=2")
}

// sizeArgs keep a data directory small, so that it is copied fast. A template
// has to be made with the same ones.
func sizeArgs(f Flavor) []string {
	if f == MariaDB {
		return []string{"--innodb-log-file-size=16M", "--innodb-buffer-pool-size=32M"}
	}
	return []string{"--loose-innodb-redo-log-capacity=32M", "--innodb-buffer-pool-size=64M"}
}
