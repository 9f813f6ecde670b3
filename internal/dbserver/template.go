package dbserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// templateRecipe is part of a template's name. Raise it when what makes one changes.
const templateRecipe = 1

// templateDir is where the freshly initialised data directory of this program's
// version is. Each user has their own: a server reads only what it owns.
func (h *host) templateDir() string {
	name := fmt.Sprintf("%s-%s-u%d-r%d", h.opts.Flavor.name(), h.build.full, ownerOf(h.opts.Flavor).uid, templateRecipe)
	return filepath.Join(h.opts.CacheDir, "template", name)
}

// makeTemplate makes the template unless it is there. A finished one is renamed
// into place, so half a one is never seen.
func (h *host) makeTemplate(ctx context.Context) error {
	dir := h.templateDir()
	unlock, err := lockFile(ctx, dir+".lock")
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	h.opts.Progress(fmt.Sprintf("initialising %v %v (once)", h.opts.Flavor, h.build.version))
	tmp, err := stagingDir(dir)
	if err != nil {
		return err
	}
	if err := h.initData(ctx, tmp); err != nil {
		return errors.Join(err, os.RemoveAll(tmp))
	}
	return os.Rename(tmp, dir)
}

// stagingDir is an empty directory beside dir. What an earlier process that was
// killed left there is removed; the caller holds the lock.
func stagingDir(dir string) (string, error) {
	old, err := filepath.Glob(dir + ".new-*")
	if err != nil {
		return "", err
	}
	for _, o := range old {
		if err := os.RemoveAll(o); err != nil {
			return "", fmt.Errorf("remove a half-made directory: %w", err)
		}
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), filepath.Base(dir)+".new-")
	if err != nil {
		return "", err
	}
	return tmp, os.Chmod(tmp, 0o755)
}

func (h *host) initData(ctx context.Context, dir string) error {
	switch h.opts.Flavor {
	case MariaDB:
		return h.initMariaDB(ctx, dir)
	case PostgreSQL:
		return h.initPostgres(ctx, dir)
	}
	return h.initMySQL(ctx, dir)
}

// initMySQL leaves auto.cnf out, so that each copy makes a server UUID of its own.
func (h *host) initMySQL(ctx context.Context, dir string) error {
	const accounts = "CREATE USER IF NOT EXISTS root@'%' IDENTIFIED BY '';\n" +
		"GRANT ALL ON *.* TO root@'%' WITH GRANT OPTION;\n"
	sql := filepath.Join(dir, "init.sql")
	if err := os.WriteFile(sql, []byte(accounts), 0o644); err != nil {
		return err
	}
	args := append(h.first(), sizeArgs(MySQL)...)
	args = append(args, "--datadir="+filepath.Join(dir, "data"), "--tmpdir="+dir, "--secure-file-priv=", "--loose-mysqlx=OFF",
		"--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=OFF", "--initialize-insecure", "--init-file="+sql)
	if err := h.runInit(ctx, dir, args, nil); err != nil {
		return err
	}
	return os.Remove(filepath.Join(dir, "data", "auto.cnf"))
}

// initMariaDB does what mariadb-install-db does, without that script's search
// for programs and files.
func (h *host) initMariaDB(ctx context.Context, dir string) error {
	sql, err := h.mariaBootstrap(ctx)
	if err != nil {
		return err
	}
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		return err
	}
	args := append(h.first(), sizeArgs(MariaDB)...)
	args = append(args, "--datadir="+data, "--tmpdir="+dir, "--bootstrap", "--silent-startup", "--innodb-flush-log-at-trx-commit=0")
	return h.runInit(ctx, dir, args, sql)
}

// runInit runs the server once with sql as its input; an error has the end of
// what it said.
func (h *host) runInit(ctx context.Context, dir string, args []string, sql []byte) error {
	log, err := os.Create(filepath.Join(dir, "init.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(h.program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	ownerOf(h.opts.Flavor).run(cmd)
	if sql != nil {
		cmd.Stdin = bytes.NewReader(sql)
	}
	if err := runChild(ctx, cmd); err != nil {
		return fmt.Errorf("%w: it says:\n%s", err, logTail(log.Name(), 0))
	}
	return nil
}

// mariaBootstrap is the SQL that makes the system tables and the accounts. The
// bootstrap parser wants one statement a line.
func (h *host) mariaBootstrap(ctx context.Context) ([]byte, error) {
	help, err := output(ctx, h.program, "--no-defaults", "--verbose", "--help")
	if err != nil {
		return nil, fmt.Errorf("ask for its base directory: %w", err)
	}
	share, prefix, err := mariaScripts(baseDir(help))
	if err != nil {
		return nil, err
	}
	var sql bytes.Buffer
	sql.WriteString("create database if not exists mysql;\nuse mysql;\nset @auth_root_socket=NULL;\n")
	for _, name := range []string{
		prefix + "_system_tables.sql", prefix + "_performance_tables.sql", prefix + "_system_tables_data.sql",
		"maria_add_gis_sp_bootstrap.sql", prefix + "_sys_schema.sql",
	} {
		text, err := os.ReadFile(filepath.Join(share, name))
		if err != nil {
			return nil, err
		}
		sql.Write(text)
	}
	sql.WriteString("flush privileges;\ncreate user if not exists root@'%';\ngrant all on *.* to root@'%' with grant option;\n")
	return sql.Bytes(), nil
}

// baseDir reads the table of settings at the end of the long help.
func baseDir(help string) string {
	for line := range strings.Lines(help) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == "basedir" {
			return f[1]
		}
	}
	return "/usr"
}

// mariaScripts finds the SQL scripts, which newer versions call mariadb_*.sql
// and older ones mysql_*.sql.
func mariaScripts(base string) (share, prefix string, err error) {
	for _, sub := range []string{"share/mariadb", "share/mysql", "share"} {
		for _, prefix := range []string{"mariadb", "mysql"} {
			share := filepath.Join(base, sub)
			if _, err := os.Stat(filepath.Join(share, prefix+"_system_tables.sql")); err == nil {
				return share, prefix, nil
			}
		}
	}
	return "", "", fmt.Errorf("no mariadb_system_tables.sql below %s/share: install the whole server package", base)
}
