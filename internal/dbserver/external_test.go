package dbserver

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// fakeLauncher's servers greet from within this process.
type fakeLauncher struct{ launched []Launch }

func (f *fakeLauncher) String() string { return "a fake" }

func (f *fakeLauncher) Launch(_ context.Context, l Launch) (Process, error) {
	f.launched = append(f.launched, l)
	if slices.Contains(l.Args, "--refused") {
		return nil, errors.New("refused")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(l.Port))
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write(packet("\x0a8.4.3\x00rest"))
			_ = conn.Close()
		}
	}()
	return &fakeProcess{listener: listener, ended: make(chan error, 1)}, os.WriteFile(l.Log, []byte("it says so"), 0o644)
}

type fakeProcess struct {
	listener net.Listener
	ended    chan error
	once     sync.Once
}

func (p *fakeProcess) end(err error) error {
	p.once.Do(func() { _ = p.listener.Close(); p.ended <- err })
	return nil
}

func (p *fakeProcess) Wait() error                     { return <-p.ended }
func (p *fakeProcess) Terminate(context.Context) error { return p.end(nil) }
func (p *fakeProcess) Kill(context.Context) error      { return p.end(errors.New("signal: killed")) }
func (p *fakeProcess) Pause(context.Context) error     { return nil }
func (p *fakeProcess) Resume(context.Context) error    { return nil }

// TestLauncher: data and port are kept over a restart, its options are not; what the
// launcher says when it can't is in the error; and a server that ends by itself is told.
func TestLauncher(t *testing.T) {
	f := &fakeLauncher{}
	s, err := Start(t.Context(), Options{Launcher: f, Args: []string{"--a"}})
	must(t, err)
	if s.Version() != "8.4.3" || s.Pid() != 0 {
		t.Errorf("version %s, pid %d", s.Version(), s.Pid())
	}
	must(t, s.Pause())
	must(t, s.Resume())
	must(t, s.Kill())
	if err := s.Pause(); !errors.Is(err, ErrNotRunning) {
		t.Errorf("pause of a killed one: %v", err)
	}
	must(t, s.Restart(t.Context(), "--b"))
	must(t, s.Stop(t.Context()))
	if err := s.Restart(t.Context(), "--refused"); err == nil || !strings.Contains(err.Error(), "a fake: refused") {
		t.Errorf("%v", err)
	}
	must(t, s.Restart(t.Context()))
	first, second, last := f.launched[0], f.launched[1], f.launched[3]
	if first.Data != filepath.Join(s.Dir(), "data") || second.Data != first.Data || second.Port != first.Port {
		t.Errorf("first %+v, then %+v", first, second)
	}
	if !slices.Contains(second.Args, "--a") || !slices.Contains(second.Args, "--b") || slices.Contains(last.Args, "--b") {
		t.Errorf("second %q, last %q", second.Args, last.Args)
	}
	must(t, s.current().process.(*fakeProcess).end(errors.New("exit status 3")))
	<-s.Done()
	if err := s.Close(); err == nil || !strings.Contains(err.Error(), "by itself (exit status 3)") || !strings.Contains(err.Error(), "it says so") {
		t.Errorf("%v", err)
	}
}

// TestGiven: a given server is used as it is.
func TestGiven(t *testing.T) {
	owner, err := Start(t.Context(), Options{Launcher: &fakeLauncher{}})
	must(t, err)
	defer owner.Close()
	s, err := Given(t.Context(), Address{Addr: owner.Addr(), User: "app", Password: "p"})
	must(t, err)
	if want := "app:p@tcp(" + owner.Addr() + ")/shop"; s.DSN("shop") != want || !s.Given() || owner.Given() || s.Version() != "8.4.3" {
		t.Errorf("DSN %s, want %s; version %s", s.DSN("shop"), want, s.Version())
	}
	for what, err := range map[string]error{"stop": s.Stop(t.Context()), "kill": s.Kill(), "pause": s.Pause(), "resume": s.Resume(), "restart": s.Restart(t.Context())} {
		if !errors.Is(err, ErrGiven) {
			t.Errorf("%s: %v", what, err)
		}
	}
	must(t, s.Close())
	if _, err := Given(t.Context(), Address{Addr: owner.Addr()}); err != nil {
		t.Errorf("it is gone with what used it: %v", err)
	}
	must(t, owner.Close())
	if _, err := Given(t.Context(), Address{Addr: owner.Addr()}); err == nil || !strings.Contains(err.Error(), "no MySQL answers at "+owner.Addr()) {
		t.Errorf("%v", err)
	}
	if _, err := Given(t.Context(), Address{Addr: "nowhere"}); err == nil || !strings.Contains(err.Error(), "use host:port") {
		t.Errorf("%v", err)
	}
}
