package dbserver

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeOptions are for a fake server of that version, fetched earlier.
func fakeOptions(t *testing.T, f Flavor, v string) Options {
	t.Helper()
	cache := t.TempDir()
	addTree(t, cache, f, v)
	return Options{Flavor: f, CacheDir: cache, Sources: []Source{SourceCache}}
}

func addTree(t *testing.T, cache string, f Flavor, v string) {
	t.Helper()
	tree := filepath.Join(cache, string(f)+"-"+v)
	files := map[string]string{"version": v, "../.complete": "mysqld  Ver " + v + " for Linux\n"}
	for _, name := range []string{"system_tables", "performance_tables", "system_tables_data", "sys_schema"} {
		files["share/mariadb/mariadb_"+name+".sql"] = "-- " + name + "\n"
	}
	files["share/mariadb/maria_add_gis_sp_bootstrap.sql"] = "-- gis\n"
	for _, e := range f.extras() {
		files["../root/"+e.file] = "file"
	}
	install(t, filepath.Join(tree, "bin"), f.programs()[0], files)
}

func TestLifecycle(t *testing.T) {
	for f, v := range map[Flavor]string{MySQL: "9.7.4-2", MariaDB: "11.8.9-MariaDB"} {
		t.Run(f.String(), func(t *testing.T) {
			s, err := Start(t.Context(), fakeOptions(t, f, v))
			must(t, err)
			defer func() { must(t, s.Close()) }()
			if !strings.HasPrefix(v, s.Version()) || s.Flavor() != f || !strings.Contains(s.DSN("db"), s.Addr()+")/db") {
				t.Errorf("version %s, flavour %v, DSN %s", s.Version(), s.Flavor(), s.DSN("db"))
			}
			if _, err := os.Stat(filepath.Join(s.Dir(), "data", "auto.cnf")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a copied server UUID: %v", err)
			}
			lifecycle(t, s)
			wantLog(t, s, "--tmpdir="+filepath.Join(s.Dir(), "tmp")) // where no other server removes what it leaves
			must(t, s.Close())
			if _, err := os.Stat(s.Dir()); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the directory is still there: %v", err)
			}
			if err := s.Restart(t.Context()); !errors.Is(err, errClosed) {
				t.Errorf("restart of a closed server: %v", err)
			}
		})
	}
}

func lifecycle(t *testing.T, s *Server) {
	t.Helper()
	addr := s.Addr()
	must(t, s.Stop(t.Context()))
	must(t, s.Stop(t.Context()))
	must(t, s.Restart(t.Context(), "--server-id=7"))
	wantLog(t, s, "--server-id=7")
	must(t, s.Pause())
	must(t, s.Resume())
	must(t, s.Pause())
	must(t, s.Kill())
	must(t, s.Kill())
	<-s.Done()
	if err := s.Resume(); !errors.Is(err, ErrNotRunning) {
		t.Errorf("resume of a killed server: %v", err)
	}
	must(t, s.Restart(t.Context()))
	must(t, s.Restart(t.Context())) // from running
	if s.Addr() != addr {
		t.Errorf("the address became %s, it was %s", s.Addr(), addr)
	}
}

func wantLog(t *testing.T, s *Server, text string) {
	t.Helper()
	log, err := os.ReadFile(s.LogFile())
	must(t, err)
	if !strings.Contains(string(log), text) {
		t.Errorf("no %q in the log:\n%s", text, log)
	}
}

func TestBootstrapSQL(t *testing.T) {
	o := fakeOptions(t, MariaDB, "11.8.9-MariaDB")
	s, err := Start(t.Context(), o)
	must(t, err)
	defer func() { must(t, s.Close()) }()
	sql, err := os.ReadFile(filepath.Join(s.Dir(), "data", "bootstrap"))
	must(t, err)
	want := []string{"use mysql;", "-- system_tables\n", "-- performance_tables", "-- system_tables_data", "-- gis", "-- sys_schema", "root@'%'"}
	rest := string(sql)
	for _, w := range want {
		_, after, ok := strings.Cut(rest, w)
		if !ok {
			t.Fatalf("no %q at its place in:\n%s", w, sql)
		}
		rest = after
	}
}

// TestCrash: a server that is gone without our doing explains what failed with it.
func TestCrash(t *testing.T) {
	s, err := Start(t.Context(), fakeOptions(t, MySQL, "9.7.4"))
	must(t, err)
	p, err := os.FindProcess(s.Pid())
	must(t, err)
	must(t, p.Kill())
	<-s.Done()
	if err := s.Close(); err == nil || !strings.Contains(err.Error(), "signal: killed") || !strings.Contains(err.Error(), "--gtid-mode=ON") {
		t.Errorf("its end is not told: %v", err)
	}
	must(t, s.Close())
}

func TestStartFails(t *testing.T) {
	o := fakeOptions(t, MySQL, "9.7.4")
	o.Dir, o.Args = t.TempDir(), []string{"--broken"}
	if _, err := Start(t.Context(), o); err == nil || !strings.Contains(err.Error(), "it is broken") {
		t.Errorf("the error does not have the log's end: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	o.Args, o.Port = nil, l.Addr().(*net.TCPAddr).Port
	if _, err := Start(t.Context(), o); err == nil || !strings.Contains(err.Error(), "is taken") {
		t.Errorf("a taken port: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Start(ctx, Options{CacheDir: o.CacheDir, Sources: o.Sources}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestCacheChoosesVersion(t *testing.T) {
	o := fakeOptions(t, MySQL, "9.7.4")
	addTree(t, o.CacheDir, MySQL, "8.4.10")
	addTree(t, o.CacheDir, MySQL, "8.4.9")
	addTree(t, o.CacheDir, MySQL, "5.7.44")
	for want, got := range map[string]string{"": "9.7.4", "8": "8.4.10", "8.4.9": "8.4.9", "5.7": ""} {
		o.Version = want
		o, err := o.withDefaults()
		must(t, err)
		l, err := find(t.Context(), o, os.Getenv)
		if got == "" {
			var fail *UnavailableError
			if !errors.As(err, &fail) || len(fail.Tried) != 1 {
				t.Errorf("%q: %v", want, err)
			}
			continue
		}
		must(t, err)
		if !strings.Contains(l.String(), got) {
			t.Errorf("%q: %s", want, l)
		}
	}
}

// TestCacheWithoutExtras: a tree that was fetched before a file of it was is not complete.
func TestCacheWithoutExtras(t *testing.T) {
	for _, e := range MariaDB.extras() {
		o := fakeOptions(t, MariaDB, "11.8.9-MariaDB")
		addTree(t, o.CacheDir, MariaDB, "11.8.7-MariaDB")
		must(t, os.Remove(filepath.Join(o.CacheDir, "mariadb-11.8.9-MariaDB", "root", e.file)))
		o, err := o.withDefaults()
		must(t, err)
		programs, err := cachedPrograms(o)
		must(t, err)
		if len(programs) != 1 || !strings.Contains(programs[0], "11.8.7") {
			t.Errorf("without %s: found %q, want the one that has all of its files", e.file, programs)
		}
	}
}
