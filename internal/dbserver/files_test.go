package dbserver

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestCopyTree(t *testing.T) {
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "copy")
	zeros := make([]byte, 200<<10)
	files := map[string][]byte{
		"empty": nil, "small": []byte("x"), "zeros": zeros,
		"sub/end":    append(bytes.Clone(zeros), 'e'),
		"sub/middle": append(append(bytes.Clone(zeros), 'm'), zeros...),
		"sub/block":  bytes.Repeat([]byte("b"), 64<<10),
	}
	for name, data := range files {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(from, name)), 0o750))
		must(t, os.WriteFile(filepath.Join(from, name), data, 0o640))
	}
	must(t, os.Symlink("small", filepath.Join(from, "link")))
	must(t, copyTree(from, to))
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(to, name))
		must(t, err)
		info, err := os.Stat(filepath.Join(to, name))
		must(t, err)
		if !bytes.Equal(got, want) || info.Mode().Perm() != 0o640 {
			t.Errorf("%s: %d bytes, want %d; mode %v", name, len(got), len(want), info.Mode())
		}
	}
	if _, err := os.Lstat(filepath.Join(to, "link")); err == nil {
		t.Error("what is not a regular file was copied")
	}
	if err := copyTree(from, to); err == nil {
		t.Error("a copy over files that are there must fail")
	}
}

func TestLockFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "lock")
	unlock, err := lockFile(t.Context(), path)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := lockFile(ctx, path); !errors.Is(err, context.Canceled) {
		t.Errorf("a second lock: %v", err)
	}
	got := make(chan error)
	go func() {
		unlock, err := lockFile(t.Context(), path)
		if err == nil {
			unlock()
		}
		got <- err
	}()
	unlock()
	must(t, <-got)
}

func TestStagingDir(t *testing.T) {
	base := filepath.Join(t.TempDir(), "cache", "mysql")
	first, err := stagingDir(base)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(first, "half"), nil, 0o644))
	second, err := stagingDir(base)
	must(t, err)
	if _, err := os.Stat(first); first != second && err == nil {
		t.Error("what a killed process left is still there")
	}
}

func TestPlaceFor(t *testing.T) {
	prefix := filepath.Join(t.TempDir(), "mysql-")
	v := version{9, 7, 4}
	for _, want := range []string{"9.7", "9.7.4", "9.7.4"} {
		dir, err := placeFor(prefix, v)
		must(t, err)
		if dir != prefix+want {
			t.Errorf("placeFor = %s, want %s", dir, prefix+want)
		}
		must(t, os.Mkdir(dir, 0o755))
	}
}

func TestMariaScripts(t *testing.T) {
	for _, c := range []struct{ file, share, prefix string }{
		{"share/mysql/mysql_system_tables.sql", "share/mysql", "mysql"},
		{"share/mysql/mariadb_system_tables.sql", "share/mysql", "mariadb"},
		{"share/mariadb/mariadb_system_tables.sql", "share/mariadb", "mariadb"},
	} {
		base := t.TempDir()
		must(t, os.MkdirAll(filepath.Join(base, c.share), 0o755))
		must(t, os.WriteFile(filepath.Join(base, c.file), nil, 0o644))
		share, prefix, err := mariaScripts(base)
		if share != filepath.Join(base, c.share) || prefix != c.prefix || err != nil {
			t.Errorf("%s: %s %s %v", c.file, share, prefix, err)
		}
	}
	if _, _, err := mariaScripts(t.TempDir()); err == nil {
		t.Error("no scripts and no error")
	}
}
