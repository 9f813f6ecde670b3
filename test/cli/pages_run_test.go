package cli

import (
	"bytes"
	"database/sql"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/internal/testcert"
	"github.com/binjet/binjet/test/internal/testdb"
)

// script is how the commands of a page are run: in which world, and with which of its
// names in the place of those that the page has.
type script struct {
	setup func(*world) (names map[string]string)
	exit  int // of a session that is shown
}

// scripts are the pages whose commands are run here, each in a database and a broker of
// its own.
var scripts = map[string]script{
	"README.md":         {setup: newcomer},
	"docs/cli.md":       {setup: operator},
	"docs/operating.md": {setup: strangers},
	"docs/runbook.md":   {setup: onCall},
	"docs/schema.md":    {setup: migrations, exit: 1},
	"docs/design.md":    {setup: func(*world) map[string]string { return nil }},
}

// newcomer has a server, a broker and Go; the account of the page may do what
// docs/security.md gives to the streamer and to init.
func newcomer(w *world) map[string]string {
	w.exec("CREATE USER binjet@'%' IDENTIFIED BY 'secret'")
	w.exec("GRANT REPLICATION SLAVE ON *.* TO binjet@'%'")
	w.exec("GRANT SELECT, LOCK TABLES, CREATE ON " + w.schema + ".* TO binjet@'%'")
	out, err := exec.Command("go", "env", "GOWORK").Output()
	must(w.t, err)
	bin := filepath.Join(w.t.TempDir(), "bin")
	w.env = append(os.Environ(), "GOWORK="+strings.TrimSpace(string(out)), "GOBIN="+bin, "PATH="+bin+":"+os.Getenv("PATH"), "BINJET_HTTP_LISTEN=127.0.0.1:0")
	return map[string]string{"tcp(127.0.0.1:3306)/shop": "tcp(" + w.srv.Addr() + ")/" + w.schema, "nats://127.0.0.1:4222": w.nats.URL(), "@latest": ""}
}

// operator has a streamer, three events, and one that could not be published.
func operator(w *world) map[string]string {
	w.ok("init")
	w.relay()
	w.exec("INSERT INTO " + w.schema + ".outbox (id, topic, payload) VALUES ('bad1', 'orders..created', 'x')")
	w.insert("a", "b", "c")
	w.published(3)
	return nil
}

// strangers may see the dashboard, with a token and by TLS.
func strangers(w *world) map[string]string {
	w.ok("init")
	ca := testcert.NewCA(w.t)
	ca.Write(w.t, w.dir, ca.Issue(w.t, time.Now().Add(-time.Hour), time.Now().Add(time.Hour)))
	must(w.t, os.Rename(filepath.Join(w.dir, "cert.pem"), filepath.Join(w.dir, "tls.crt")))
	must(w.t, os.Rename(filepath.Join(w.dir, "key.pem"), filepath.Join(w.dir, "tls.key")))
	return map[string]string{"BINJET_HTTP_LISTEN=:9188": "BINJET_HTTP_LISTEN=:0"}
}

// onCall is woken, and finds a streamer that is well.
func onCall(w *world) map[string]string {
	w.ok("init")
	w.relay()
	return map[string]string{"http://127.0.0.1:9188": w.admin()}
}

// migrations has a table which is not as it should be, as the page shows it.
func migrations(w *world) map[string]string {
	w.ok("init")
	w.exec("ALTER TABLE " + w.schema + ".outbox ADD COLUMN tenant INT NULL, MODIFY payload BLOB NOT NULL, MODIFY created_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)")
	for _, dir := range []string{"migrations", "schema"} {
		must(w.t, os.Mkdir(filepath.Join(w.dir, dir), 0o700))
	}
	return map[string]string{"127.0.0.1:3306": w.srv.Addr()}
}

// TestPages runs the commands of the README and of docs/ as they stand there, page by
// page and in order. What it does not run is in the list of pages_test.go.
func TestPages(t *testing.T) {
	all := pages(t)
	bin, srv := testdb.Command(t), startServer(t, dbserver.MySQL)
	t.Run("configurations", func(t *testing.T) { configurations(t, bin, all) })
	for page, s := range scripts {
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			name := regexp.MustCompile(`\W`).ReplaceAllString(strings.TrimSuffix(filepath.Base(page), ".md"), "_")
			w := bareWorld(t, bin, srv, "page_"+strings.ToLower(name))
			r := &reader{world: w, script: s, names: s.setup(w), used: make(map[string]bool)}
			commands := 0
			for _, b := range all[page] {
				commands += r.block(b)
			}
			if commands == 0 {
				t.Error("no command was found")
			}
			for name := range r.names {
				if !r.used[name] {
					t.Errorf("the page does not say %s any more", name)
				}
			}
		})
	}
}

// configurations: every YAML of the pages is one of binjet's, and valid.
func configurations(t *testing.T, bin string, all map[string][]block) {
	found := 0
	for page, blocks := range all {
		for _, b := range blocks {
			if b.lang != "yaml" {
				continue
			}
			found++
			file := filepath.Join(t.TempDir(), "binjet.yaml")
			must(t, os.WriteFile(file, []byte(b.text), 0o600))
			if out, err := exec.Command(bin, "config", "validate", "--file-only", "-c", file).CombinedOutput(); err != nil {
				t.Errorf("%s:%d: %s", page, b.line, out)
			}
		}
	}
	if found < 6 {
		t.Errorf("only %d were found", found)
	}
}

// reader does what a page says.
type reader struct {
	*world
	script
	names map[string]string
	used  map[string]bool
}

func (r *reader) block(b block) (commands int) {
	r.t.Helper()
	for _, c := range b.toRun() {
		if claimed(b.page, c, make(map[int]bool)) {
			continue
		}
		commands++
		r.t.Logf("%s:%d: %s", b.page, b.line, c)
		switch b.lang {
		case "sql":
			r.sql(c)
		case "console":
			r.shown(b, c)
		default:
			r.shell(c)
		}
	}
	return commands
}

// here puts the world's names in the place of the page's.
func (r *reader) here(text string) string {
	for name, mine := range r.names {
		if strings.Contains(text, name) {
			r.used[name] = true
			text = strings.ReplaceAll(text, name, mine)
		}
	}
	return text
}

// until is what a command has said by the time that it is interrupted, of those that go
// on until they are.
func until(command string) *regexp.Regexp {
	switch {
	case strings.HasSuffix(command, "binjet run"):
		return regexp.MustCompile(`"leading"`)
	case strings.Contains(command, "--watch"):
		return regexp.MustCompile(`(?s)lag.*relay`)
	case strings.HasPrefix(command, "binjet tail") && !strings.Contains(command, "--no-follow"):
		return regexp.MustCompile(`orders\.created`)
	}
	return nil
}

// shell runs a command, which has to succeed. What it exports is there for the next one.
func (r *reader) shell(command string) {
	r.t.Helper()
	command = r.here(command)
	if strings.HasPrefix(command, "export ") {
		got := r.run(0, "sh", "-c", command+"; env -0")
		r.env = strings.Split(strings.Trim(got.out, "\x00"), "\x00")
		return
	}
	if words := until(command); words != nil {
		r.interrupted(command, words)
		return
	}
	if got := r.run(0, "sh", "-ec", command); got.code != 0 {
		r.t.Errorf("%s: %s", command, got)
	}
}

// interrupted runs a command until it has said what it should, while events are
// inserted, and interrupts it; it has to end well.
func (r *reader) interrupted(command string, words *regexp.Regexp) {
	r.t.Helper()
	out, err := os.Create(filepath.Join(r.t.TempDir(), "out"))
	must(r.t, err)
	defer out.Close()
	cmd := r.command("sh", "-c", "exec env "+command) // env for the variables before it; exec since a shell keeps the interrupt to itself
	cmd.Stdout, cmd.Stderr = out, out
	must(r.t, cmd.Start())
	said := func() []byte {
		text, err := os.ReadFile(out.Name())
		must(r.t, err)
		return bytes.TrimSpace(text)
	}
	r.eventually(command, func() bool {
		r.insert(time.Now().Format("150405.000000000"))
		return words.Match(said()) || cmd.Process.Signal(syscall.Signal(0)) != nil
	})
	_ = cmd.Process.Signal(os.Interrupt)
	if err := cmd.Wait(); err != nil || !words.Match(said()) {
		r.t.Errorf("%s: %v\n%s", command, err, said())
	}
}

func (r *reader) sql(statement string) {
	r.t.Helper()
	db, err := sql.Open("mysql", r.srv.DSN(r.schema))
	must(r.t, err)
	defer db.Close()
	if _, err := db.ExecContext(r.t.Context(), statement); err != nil {
		r.t.Errorf("%s: %v", statement, err)
	}
}

// shown compares what a session shows with what is said here, but for white space.
func (r *reader) shown(b block, command string) {
	r.t.Helper()
	got := r.run(0, "sh", "-c", command)
	_, want, _ := strings.Cut(r.here(b.text), command+"\n")
	if plain(got.out) != plain(want) || got.code != r.exit {
		r.t.Errorf("%s:%d: want exit %d and\n%s\ngot %s", b.page, b.line, r.exit, want, got)
	}
}

func plain(s string) string { return strings.Join(strings.Fields(s), " ") }
