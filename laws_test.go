package binjet_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const (
	self    = "github.com/binjet/binjet"
	natsGo  = "github.com/nats-io/nats.go"
	goMySQL = "github.com/go-mysql-org/go-mysql"

	msgpack  = "github.com/vmihailenco/msgpack/v5"
	protobuf = "google.golang.org/protobuf"
	xTime    = "golang.org/x/time"

	otelAPI    = "go.opentelemetry.io/otel"
	otelTrace  = "go.opentelemetry.io/otel/trace"
	promClient = "github.com/prometheus/client_golang"
)

// law is what a package of ours, and what lies below it in the tree unless that
// has a law of its own, may import. The standard library and internal/ are free to
// all; what a package reaches through internal/ counts as its own.
type law struct {
	own     []string // our packages, relative to the root
	modules []string // modules of others, and with them what those need themselves
	process bool     // may do what only a process should: signals, HTTP, metrics, a logger
}

// A package that is missing here, or that is here and not in the tree, fails
// the test: a law is not kept by a package that nobody looked at.
func laws() map[string]law {
	return map[string]law{
		".":              {},
		"producer":       {own: []string{"."}},
		"producer/codec": {own: []string{"."}},

		"producer/cloudevents":  {own: []string{"."}},
		"producer/producertest": {own: []string{"."}},

		"producer/codec/msgpack":  {own: []string{"."}, modules: []string{msgpack}},
		"producer/codec/protobuf": {own: []string{"."}, modules: []string{protobuf}},

		"checkpoint":               {own: []string{"."}},
		"checkpoint/store":         {own: []string{".", "checkpoint"}, modules: []string{natsGo}},
		"binlog":                   {own: []string{".", "checkpoint"}, modules: []string{goMySQL}},
		"relay":                    {own: []string{".", "checkpoint", "checkpoint/store"}, modules: []string{natsGo}},
		"consumer":                 {own: []string{".", "consumer/inbox", "producer/codec"}, modules: []string{natsGo, xTime}},
		"consumer/inbox/inboxtest": {own: []string{".", "consumer/inbox"}, modules: []string{natsGo}},
		"consumer/consumertest":    {own: []string{".", "consumer", "consumer/inbox", "producer/codec"}, modules: []string{natsGo, xTime}},

		"producer/producerotel": {own: []string{".", "producer"}, modules: []string{otelAPI, otelTrace}},
		"consumer/consumerotel": {own: []string{".", "consumer", "consumer/inbox", "producer/codec"}, modules: []string{natsGo, xTime, otelAPI, otelTrace}},
		"consumer/consumerprom": {own: []string{".", "consumer", "consumer/inbox", "producer/codec"}, modules: []string{natsGo, xTime, promClient}},

		"consumer/inbox": {own: []string{".", "consumer"}, modules: []string{natsGo}},
		"internal/prune": {own: []string{".", "checkpoint"}},
		"cmd/binjet":     {process: true},
	}
}

// processOnly is what no library of ours imports itself, unless its law names the very
// module: that is an adapter for those who use it, and for nobody else. What nats.go
// and go-mysql import is theirs to answer for.
func processOnly() []string {
	return []string{
		"os/signal", "net/http", "expvar", "go.opentelemetry.io",
		"github.com/prometheus", "github.com/rs/zerolog", "github.com/spf13", "go.uber.org/zap", "github.com/sirupsen/logrus",
	}
}

type pkg struct {
	ImportPath string
	Standard   bool
	Imports    []string
	Module     *struct{ Path, Dir string }
}

type graph map[string]pkg

func TestImportLaws(t *testing.T) {
	g := listPackages(t)
	laws := laws()
	for name, l := range laws {
		p, ok := g[path.Join(self, name)]
		if !ok {
			t.Errorf("package %s is not there", name)
			continue
		}
		if !l.process {
			g.check(t, name, p, l)
		}
	}
	for name, p := range g {
		if !p.ours() || strings.HasPrefix(name, self+"/internal/") {
			continue
		}
		rel := relative(name)
		if _, ok := laws[rel]; !ok {
			l, below := lawAbove(laws, rel)
			if !below {
				t.Errorf("package %s has no law: add one", rel)
			} else if !l.process {
				g.check(t, rel, p, l)
			}
		}
	}
}

// binlog is the only door to go-mysql, so that its traps are known in one place.
func TestOneDoorToGoMySQL(t *testing.T) {
	for name, p := range listPackages(t) {
		rel := relative(name)
		if !p.ours() || rel == "binlog" || strings.HasPrefix(rel, "binlog/") {
			continue
		}
		for _, imp := range p.Imports {
			if under(imp, goMySQL) {
				t.Errorf("%s imports %s: only binlog may", rel, imp)
			}
		}
	}
}

// What tests and examples need must not reach a user of the libraries.
func TestTestsAndExamplesAreModules(t *testing.T) {
	work, err := os.ReadFile("go.work")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"test", "examples"} {
		mod, err := os.ReadFile(dir + "/go.mod")
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"module " + self + "/" + dir + "\n", "\nreplace " + self + " => ../\n"} {
			if !bytes.Contains(mod, []byte(want)) {
				t.Errorf("%s/go.mod has no line %q", dir, strings.TrimSpace(want))
			}
		}
		if !bytes.Contains(work, []byte("./"+dir+"\n")) {
			t.Errorf("go.work does not use ./%s", dir)
		}
	}
}

// A service chooses its data layer and event format; none of them comes with binjet.
// What binjet needs itself is in go.mod, with what that needs. OpenTelemetry is there
// for the process and the adapters; the laws keep it out of everything else.
func TestRootNeedsNoDataLayer(t *testing.T) {
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"gorm.io/", "github.com/uptrace/bun", "entgo.io/ent", "github.com/jmoiron/sqlx", "github.com/cloudevents/"} {
		if bytes.Contains(mod, []byte("\t"+bad)) {
			t.Errorf("go.mod requires %s", bad)
		}
	}
}

func (g graph) check(t *testing.T, rel string, p pkg, l law) {
	t.Helper()
	for _, own := range g.reach(p, func(q pkg) bool { return q.ours() }) {
		name := relative(own.ImportPath)
		if own.ImportPath == p.ImportPath || strings.HasPrefix(name, "internal/") {
			g.checkDirect(t, rel, own, l)
		} else if !slices.Contains(l.own, name) && !strings.HasPrefix(name, rel+"/") {
			t.Errorf("%s reaches our package %s, but may only reach %v", rel, name, l.own)
		}
	}
	allowed := g.modulesOf(l.modules)
	for _, q := range g.reach(p, func(q pkg) bool { return !q.Standard }) {
		if m := q.module(); m != "" && m != self && !allowed[m] {
			allowed[m] = true // said once
			t.Errorf("%s reaches module %s (package %s), but may only reach %v and what they need", rel, m, q.ImportPath, l.modules)
		}
	}
}

// checkDirect is about what our own code does, in the package or for it in internal/.
func (g graph) checkDirect(t *testing.T, rel string, p pkg, l law) {
	t.Helper()
	for _, imp := range p.Imports {
		for _, bad := range processOnly() {
			if under(imp, bad) && !slices.ContainsFunc(l.modules, func(m string) bool { return under(imp, m) }) {
				t.Errorf("%s imports %s (in %s): that is for the process, not for a library", rel, imp, relative(p.ImportPath))
			}
		}
	}
}

// reach returns p and all packages that it needs, following those that follow takes.
func (g graph) reach(p pkg, follow func(pkg) bool) []pkg {
	seen := map[string]bool{p.ImportPath: true}
	found := []pkg{p}
	for i := 0; i < len(found); i++ {
		for _, imp := range found[i].Imports {
			if q, ok := g[imp]; ok && !seen[imp] && follow(q) {
				seen[imp] = true
				found = append(found, q)
			}
		}
	}
	return found
}

// modulesOf returns the named modules and those that their packages need.
func (g graph) modulesOf(modules []string) map[string]bool {
	all := map[string]bool{}
	for _, p := range g {
		if !slices.Contains(modules, p.module()) {
			continue
		}
		for _, q := range g.reach(p, func(q pkg) bool { return !q.Standard }) {
			all[q.module()] = true
		}
	}
	return all
}

func (p pkg) ours() bool { return p.module() == self }

func (p pkg) module() string {
	if p.Module == nil {
		return ""
	}
	return p.Module.Path
}

func under(name, parent string) bool { return name == parent || strings.HasPrefix(name, parent+"/") }

func relative(name string) string {
	if name == self {
		return "."
	}
	return strings.TrimPrefix(name, self+"/")
}

func lawAbove(laws map[string]law, rel string) (law, bool) {
	for dir := path.Dir(rel); dir != "."; dir = path.Dir(dir) {
		if l, ok := laws[dir]; ok {
			return l, true
		}
	}
	return law{}, false
}

func listPackages(t *testing.T) graph {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Standard,Imports,Module", "./...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	g := graph{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return g
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		g[p.ImportPath] = p
	}
}
