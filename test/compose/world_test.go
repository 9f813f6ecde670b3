//go:build containers

// Package compose brings docker-compose.yml up, kills in it, and compares what was
// written with what arrived. It needs a container engine and the images that the
// variables name, so it is behind the build tag "containers": make test-containers
// makes the images and runs it.
package compose

import (
	"context"
	"database/sql"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// patience bounds every wait; an idle machine needs a small part of it.
const patience = 90 * time.Second

// world is one project of the compose file.
type world struct {
	t       *testing.T
	command []string // docker-compose or docker compose, with its files and project
	project string
	env     []string
}

// up starts everything under a name of its own, on ports of the engine's choice, and
// takes it down when the test ends.
func up(t *testing.T, name string, major int, files ...string) *world {
	t.Helper()
	prefix := os.Getenv("BINJET_TEST_COMPOSE_PROJECT")
	if prefix == "" {
		t.Fatal("run this by make test-containers, which makes the images, names the project, and removes it when interrupted")
	}
	w := &world{t: t, project: prefix + "-" + name, command: composeCommand(t, major)}
	for _, f := range files {
		w.command = append(w.command, "-f", "../../"+f)
	}
	w.command = append(w.command, "-p", w.project)
	w.env = append(os.Environ(), "BINJET_DB_PORT=0", "BINJET_NATS_PORT=0", "BINJET_1_PORT=0", "BINJET_2_PORT=0", "BINJET_PROMETHEUS_PORT=0", "SHOP_PAUSE=20ms")
	t.Cleanup(w.down)
	w.compose("up", "-d", "--no-build")
	return w
}

// composeCommand is a Compose of this major version, or of another one where there is
// no such: BINJET_COMPOSE_V2, or docker's plug-in, or docker-compose.
func composeCommand(t *testing.T, major int) (command []string) {
	t.Helper()
	var chosen string
	for _, c := range [][]string{{os.Getenv("BINJET_COMPOSE_V2")}, {"docker", "compose"}, {"docker-compose"}} {
		version, err := exec.Command(c[0], append(c[1:len(c):len(c)], "version", "--short")...).Output()
		if err != nil {
			continue
		}
		wanted := strings.HasPrefix(strings.TrimPrefix(string(version), "v"), strconv.Itoa(major)+".")
		if command == nil || wanted {
			command, chosen = c, strings.TrimSpace(string(version))
		}
		if wanted {
			break
		}
	}
	if command == nil {
		t.Fatal("neither docker compose nor docker-compose is here: install one of them, or name a program by BINJET_COMPOSE_V2")
	}
	t.Logf("Compose %s", chosen)
	return slices.Clone(command)
}

// down removes the project and looks whether anything of it is left.
func (w *world) down() {
	if w.t.Failed() {
		out, err := w.try(context.Background(), append(w.command, "logs", "--no-color", "--tail", "30")...)
		w.t.Log(out, err)
	}
	if out, err := w.try(context.Background(), append(w.command, "down", "-v", "-t", "0")...); err != nil {
		w.t.Errorf("compose down: %v\n%s", err, out)
	}
	for _, list := range [][]string{{"ps", "-aq"}, {"volume", "ls", "-q"}, {"network", "ls", "-q"}} {
		if left := w.docker(append(list, "--filter", "label=com.docker.compose.project="+w.project)...); left != "" {
			w.t.Errorf("docker %s still shows %s", list[0], left)
		}
	}
}

func (w *world) try(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = w.env
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (w *world) compose(args ...string) {
	w.t.Helper()
	if out, err := w.try(w.t.Context(), append(w.command, args...)...); err != nil {
		w.t.Fatalf("compose %s: %v\n%s", args[0], err, out)
	}
}

func (w *world) docker(args ...string) string {
	w.t.Helper()
	out, err := w.try(context.Background(), append([]string{"docker"}, args...)...)
	if err != nil {
		w.t.Fatalf("docker %s: %v\n%s", args[0], err, out)
	}
	return out
}

// container is the ID of a service's container.
func (w *world) container(service string) string {
	w.t.Helper()
	id := w.docker("ps", "-aq", "--filter", "label=com.docker.compose.project="+w.project, "--filter", "label=com.docker.compose.service="+service)
	if id == "" || strings.Contains(id, "\n") {
		w.t.Fatalf("service %s has the containers %q, want one", service, id)
	}
	return id
}

// inspect is a field of a container.
func (w *world) inspect(service, field string) string {
	w.t.Helper()
	return w.docker("inspect", "--format", "{{"+field+"}}", w.container(service))
}

// addr is where a service's port is published.
func (w *world) addr(service, port string) string {
	w.t.Helper()
	addr, _, _ := strings.Cut(w.docker("port", w.container(service), port), "\n")
	return addr
}

// ready is what /readyz of a streamer says; of one that does not answer, nothing.
type ready struct {
	Ready bool      `json:"ready"`
	Role  string    `json:"role"`
	Since time.Time `json:"since"`
}

func (w *world) ready(service string) (r ready) {
	w.t.Helper()
	res, err := http.Get("http://" + w.addr(service, "9188/tcp") + "/readyz")
	if err != nil {
		return r
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || json.Unmarshal(body, &r) != nil {
		return ready{}
	}
	return r
}

// untilLeads waits until a streamer leads, and says since when.
func (w *world) untilLeads(service string) time.Time {
	w.t.Helper()
	var r ready
	w.eventually(service+" leads", func() bool {
		r = w.ready(service)
		return r.Role == "leader"
	})
	return r.Since
}

func (w *world) eventually(what string, is func() bool) {
	w.t.Helper()
	over := time.After(patience)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-over:
			w.t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

func (w *world) db() *sql.DB {
	w.t.Helper()
	db, err := sql.Open("mysql", "shop:shop@tcp("+w.addr("db", "3306/tcp")+")/shop")
	must(w.t, err)
	w.t.Cleanup(func() { _ = db.Close() })
	return db
}

func column(t *testing.T, db *sql.DB, query string) (values []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	must(t, err)
	defer rows.Close()
	for rows.Next() {
		var v string
		must(t, rows.Scan(&v))
		values = append(values, v)
	}
	must(t, rows.Err())
	return values
}

// published is a header of every event on the stream, in its order.
func (w *world) published(header string) (values []string) {
	w.t.Helper()
	nc, err := nats.Connect("nats://" + w.addr("nats", "4222/tcp"))
	must(w.t, err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	must(w.t, err)
	stream, err := js.Stream(w.t.Context(), "OUTBOX")
	must(w.t, err)
	for seq := uint64(1); seq <= stream.CachedInfo().State.LastSeq; seq++ {
		msg, err := stream.GetMsg(w.t.Context(), seq)
		if err == nil && strings.HasPrefix(msg.Subject, "outbox.") {
			values = append(values, msg.Header.Get(header))
		}
	}
	return values
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
