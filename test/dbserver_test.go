package test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"

	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/test/internal/testdb"
)

// dbserverCases are any server of each flavour and, where an image is named,
// that image too.
func dbserverCases() map[string]dbserver.Options {
	cases := map[string]dbserver.Options{
		"mysql":   {Flavor: dbserver.MySQL},
		"mariadb": {Flavor: dbserver.MariaDB},
		"durable": {Flavor: dbserver.MySQL, Durable: true},
	}
	docker := []dbserver.Source{dbserver.SourceDocker}
	if os.Getenv("BINJET_MYSQL_IMAGE") != "" {
		cases["mysql in docker"] = dbserver.Options{Flavor: dbserver.MySQL, Sources: docker}
	}
	if os.Getenv("BINJET_MARIADB_IMAGE") != "" {
		cases["mariadb in docker"] = dbserver.Options{Flavor: dbserver.MariaDB, Sources: docker}
	}
	return cases
}

func TestDBServerLifecycle(t *testing.T) {
	t.Parallel()
	for name, o := range dbserverCases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, db := startDB(t, o)
			execSQL(t, db, "CREATE DATABASE shop")
			execSQL(t, db, "CREATE TABLE shop.t (id INT PRIMARY KEY) ENGINE=InnoDB")

			// What is committed survives a kill, data and binlog alike.
			execSQL(t, db, "INSERT INTO shop.t VALUES (1)")
			must(t, s.Kill())
			must(t, s.Kill())
			if err := s.Pause(); !errors.Is(err, dbserver.ErrNotRunning) {
				t.Errorf("pause of a killed server: %v", err)
			}
			must(t, s.Restart(t.Context()))
			wantSQL(t, db, "SELECT COUNT(*) FROM shop.t", "1")
			wantSQL(t, db, "SELECT @@server_id", "1")

			// A clean stop; a restart with other options, from stopped and from running.
			must(t, s.Stop(t.Context()))
			must(t, s.Stop(t.Context()))
			must(t, s.Restart(t.Context(), "--server-id=7"))
			wantSQL(t, db, "SELECT @@server_id", "7")
			must(t, s.Restart(t.Context()))
			wantSQL(t, db, "SELECT @@server_id", "1")

			testPause(t, s, db)
			must(t, s.Close())
			must(t, s.Close())
			if _, err := os.Stat(s.Dir()); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the directory is still there: %v", err)
			}
		})
	}
}

// testPause: a paused server says nothing, and afterwards does what it was
// asked; a kill works on a paused one.
func testPause(t *testing.T, s *dbserver.Server, db *sql.DB) {
	t.Helper()
	execSQL(t, db, "DO 1")
	must(t, s.Pause())
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := db.ExecContext(ctx, "DO 1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a paused server answered: %v", err)
	}
	must(t, s.Resume())
	wantSQL(t, db, "SELECT COUNT(*) FROM shop.t", "1")
	must(t, s.Pause())
	must(t, s.Kill())
	select {
	case <-s.Done():
	default:
		t.Error("the server is killed and not done")
	}
}

func TestDBServerSettings(t *testing.T) {
	t.Parallel()
	for name, o := range dbserverCases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o.Args = []string{"--max-binlog-size=8192"}
			s, db := startDB(t, o)
			want := map[string]string{
				"binlog_format": "ROW", "binlog_row_image": "FULL", "binlog_row_metadata": "FULL",
				"max_binlog_size": "8192", "log_bin": "1", "port": "3306",
				"innodb_flush_log_at_trx_commit": "2", "sync_binlog": "0",
			}
			if !strings.Contains(name, "docker") {
				_, port, _ := strings.Cut(s.Addr(), ":")
				want["port"] = port
			}
			if o.Durable {
				want["innodb_flush_log_at_trx_commit"], want["sync_binlog"] = "1", "1"
			}
			if o.Flavor == dbserver.MySQL {
				want["gtid_mode"], want["binlog_expire_logs_seconds"] = "ON", "0"
			} else {
				want["expire_logs_days"] = "0"
			}
			for variable, value := range want {
				if got := querySQL(t, db, "SELECT @@"+variable); strings.TrimSuffix(got, ".000000") != value {
					t.Errorf("%s = %s, want %s", variable, got, value)
				}
			}
			if v := querySQL(t, db, "SELECT VERSION()"); !strings.HasPrefix(v, s.Version()) {
				t.Errorf("Version() = %s, the server says %s", s.Version(), v)
			}
		})
	}
}

// TestDBServerProgram: the tool that prints a binlog is to be had for each server, and
// reads that server's, with nothing installed for it; also in a container, whose
// official image of MySQL has none.
func TestDBServerProgram(t *testing.T) {
	t.Parallel()
	for f, name := range map[dbserver.Flavor]string{dbserver.MySQL: "mysqlbinlog", dbserver.MariaDB: "mariadb-binlog"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, db := startDB(t, dbserver.Options{Flavor: f})
			execSQL(t, db, "CREATE DATABASE shop")
			execSQL(t, db, "CREATE TABLE shop.t (note VARCHAR(20)) ENGINE=InnoDB")
			execSQL(t, db, "INSERT INTO shop.t VALUES ('it is read')")
			program, err := s.Program(t.Context(), name)
			must(t, err)
			files, err := filepath.Glob(filepath.Join(s.Dir(), "data", "binlog.0*[0-9]"))
			must(t, err)
			args := append([]string{"--no-defaults", "--verbose", "--base64-output=DECODE-ROWS"}, files...)
			out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput()
			if err != nil || !strings.Contains(string(out), "@1='it is read'") {
				t.Errorf("%s for a server %s: %v: no row in:\n%s", program, s.Version(), err, out)
			}
		})
	}
}

func TestDBServerKeepsGivenDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a folder", strings.Repeat("x", 120))
	s, db := startProgram(t, dbserver.Options{Dir: dir})
	execSQL(t, db, "CREATE DATABASE kept")
	uuid := querySQL(t, db, "SELECT @@server_uuid")
	must(t, s.Close())
	_, db = startProgram(t, dbserver.Options{Dir: dir})
	wantSQL(t, db, "SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = 'kept'", "1")
	wantSQL(t, db, "SELECT @@server_uuid", uuid)
	_, other := startProgram(t, dbserver.Options{})
	if got := querySQL(t, other, "SELECT @@server_uuid"); got == uuid {
		t.Error("two servers have the same UUID")
	}
}

// A server that does not start says why and leaves nothing behind.
func TestDBServerBadOption(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	_, err := dbserver.Start(t.Context(), dbserver.Options{
		Flavor: dbserver.MariaDB, Args: []string{"--no-such-option"},
	})
	if err == nil || !strings.Contains(err.Error(), "no-such-option") {
		t.Errorf("the error does not have the log's end: %v", err)
	}
	left, err := os.ReadDir(tmp)
	must(t, err)
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// helperEnv makes TestDBServerHelper a program: it starts a server, prints its
// process ID and waits to be killed.
const helperEnv = "BINJET_TEST_DBSERVER_HELPER"

func TestDBServerHelper(t *testing.T) {
	if os.Getenv(helperEnv) == "" {
		return // it is nothing by itself; TestDBServerDiesWithParent runs it
	}
	s, _ := startProgram(t, dbserver.Options{Dir: os.Getenv(helperEnv), Flavor: dbserver.MariaDB})
	fmt.Printf("pid=%d\n", s.Pid())
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func TestDBServerDiesWithParent(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestDBServerHelper$", "-test.v")
	cmd.Env = append(os.Environ(), helperEnv+"="+t.TempDir())
	stdin, err := cmd.StdinPipe()
	must(t, err)
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	pid := readPid(t, stdout)
	must(t, syscall.Kill(pid, 0))
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()
	deadline := time.After(20 * time.Second)
	for tick := time.NewTicker(10 * time.Millisecond); !gone(pid); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("server %d outlives its parent", pid)
		}
	}
}

// gone counts a zombie: nobody may be there to wait for an orphan.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}

func readPid(t *testing.T, r io.Reader) int {
	t.Helper()
	var text strings.Builder
	for buf := make([]byte, 256); ; {
		n, err := r.Read(buf)
		text.Write(buf[:n])
		if _, rest, ok := strings.Cut(text.String(), "pid="); ok && strings.Contains(rest, "\n") {
			pid, err := strconv.Atoi(rest[:strings.Index(rest, "\n")])
			must(t, err)
			return pid
		}
		if err != nil {
			t.Fatalf("the helper says: %s", text.String())
		}
	}
}

// TestMain ends what the tests of this package share.
func TestMain(m *testing.M) { os.Exit(testdb.Run(m)) }

// startProgram is a server that is a program, whatever the backend of the others.
func startProgram(t *testing.T, o dbserver.Options) (*dbserver.Server, *sql.DB) {
	t.Helper()
	s, err := dbserver.Start(t.Context(), o)
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return s, testdb.Open(t, s.DSN(""))
}

func startDB(t *testing.T, o dbserver.Options) (*dbserver.Server, *sql.DB) {
	t.Helper()
	s := testdb.New(t, o)
	return s, testdb.Open(t, s.DSN(""))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func execSQL(t *testing.T, db *sql.DB, query string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func querySQL(t *testing.T, db *sql.DB, query string) string {
	t.Helper()
	var got string
	if err := db.QueryRowContext(t.Context(), query).Scan(&got); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return got
}

func wantSQL(t *testing.T, db *sql.DB, query, want string) {
	t.Helper()
	if got := querySQL(t, db, query); got != want {
		t.Errorf("%s = %s, want %s", query, got, want)
	}
}
