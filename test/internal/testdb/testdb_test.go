package testdb

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/binjet/binjet/internal/dbserver"
)

func TestImage(t *testing.T) {
	env := map[string]string{"BINJET_TEST_MYSQL_IMAGE": "mine/mysql", "BINJET_TEST_MARIADB_10_11_IMAGE": "mine/old"}
	for _, c := range []struct {
		flavor        dbserver.Flavor
		version, want string
	}{
		{dbserver.MySQL, "", "mine/mysql"},
		{dbserver.MySQL, "8.0", "mysql:8.0"},
		{dbserver.MariaDB, "", "mariadb:11"},
		{dbserver.MariaDB, "10.11", "mine/old"},
	} {
		if got := image(c.flavor, c.version, func(name string) string { return env[name] }); got != c.want {
			t.Errorf("%v %q is %s, want %s", c.flavor, c.version, got, c.want)
		}
	}
}

// TestReads: what a container has to read is shared by directory, once.
func TestReads(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"ca.pem", "key.pem"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	shared := reads([]string{"--ssl-ca=" + dir + "/ca.pem", "--ssl-key=" + dir + "/key.pem", "--server-id=2", "--local-infile=ON"})
	if !slices.Equal(shared, []string{dir}) {
		t.Errorf("shared %q", shared)
	}
}

// TestGivenIsNotReconfigured: a test that wants a server of its own says which it can't have.
func TestGivenIsNotReconfigured(t *testing.T) {
	t.Setenv("BINJET_TEST_MYSQL_ADDR", "127.0.0.1:1")
	_, err := Start(t.Context(), dbserver.Options{Args: []string{"--server-id=2"}})
	if err == nil || !strings.Contains(err.Error(), "needs a MySQL of its own") || !strings.Contains(err.Error(), "BINJET_TEST_MYSQL_ADDR") {
		t.Errorf("%v", err)
	}
	_, err = Start(t.Context(), dbserver.Options{})
	if err == nil || !strings.Contains(err.Error(), "no MySQL answers at 127.0.0.1:1") {
		t.Errorf("%v", err)
	}
}

func TestUnknownBackend(t *testing.T) {
	t.Setenv("BINJET_TEST_BACKEND", "container")
	if _, err := Start(t.Context(), dbserver.Options{}); err == nil || !strings.Contains(err.Error(), "use local or containers") {
		t.Errorf("%v", err)
	}
}
