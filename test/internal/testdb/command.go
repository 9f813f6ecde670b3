package testdb

import (
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/binjet/binjet/internal/dbserver"
)

// program is what a test program holds until it ends.
type program struct {
	command func() (string, error)

	mu      sync.Mutex
	dir     string // of what was built; "" before
	servers map[dbserver.Flavor]func() (*dbserver.Server, error)
	started []*dbserver.Server
}

var all = newProgram()

func newProgram() *program {
	p := &program{}
	p.command = sync.OnceValues(func() (string, error) { return p.build("binjet") })
	p.servers = map[dbserver.Flavor]func() (*dbserver.Server, error){}
	for _, f := range Flavors() {
		p.servers[f] = sync.OnceValues(func() (*dbserver.Server, error) { return p.start(f) })
	}
	return p
}

// Run runs the tests, and then ends what they share; it gives the exit code. What is in
// last is done after that, and what fails in it fails the tests.
func Run(m *testing.M, last ...func() error) int {
	code := m.Run()
	for _, do := range append([]func() error{all.close}, last...) {
		if err := do(); err != nil && code == 0 {
			log.Print(err)
			code = 1
		}
	}
	return code
}

// Command is the path of the binjet command, which is built when this is called first
// and is the same for all tests of this program.
func Command(tb testing.TB) string {
	tb.Helper()
	path, err := all.command()
	if err != nil {
		tb.Fatal(err)
	}
	return path
}

// Build builds the command with more arguments of go build, such as tags, and gives the
// path of what it built, which is there until the test program ends.
func Build(name string, args ...string) (string, error) { return all.build(name, args...) }

func (p *program) build(name string, args ...string) (string, error) {
	dir, err := p.makeDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, name)
	args = append([]string{"build", "-o", path}, args...)
	if out, err := exec.Command("go", append(args, "github.com/binjet/binjet/cmd/binjet")...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the command: %w\n%s", err, out)
	}
	return path, nil
}

func (p *program) makeDir() (_ string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dir == "" {
		p.dir, err = os.MkdirTemp("", "binjet-test-")
	}
	return p.dir, err
}

func (p *program) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, s := range p.started {
		errs = append(errs, s.Close())
	}
	if p.dir != "" {
		errs = append(errs, os.RemoveAll(p.dir))
	}
	return errors.Join(errs...)
}
