package dbserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
)

// ErrGiven is what a server gives that somebody else runs, to whatever would stop it
// or start it.
var ErrGiven = errors.New("the server is a given one, which somebody else runs: it can't be stopped, paused or restarted from here")

// Address is where a server is that runs already, and an account of it that may do
// everything.
type Address struct {
	Flavor   Flavor // default: MySQL
	Addr     string // host:port
	User     string // default: root
	Password string
}

// Given is the server at an address. Stop, Kill, Pause, Resume and Restart give
// [ErrGiven]; Close does nothing to it, so what was made there stays there.
func Given(ctx context.Context, a Address) (*Server, error) {
	a.Flavor, a.User = cmp.Or(a.Flavor, MySQL), cmp.Or(a.User, "root")
	host, portText, err := net.SplitHostPort(a.Addr)
	if err != nil {
		return nil, fmt.Errorf("dbserver: address %q: use host:port: %w", a.Addr, err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return nil, fmt.Errorf("dbserver: address %q: use host:port: %w", a.Addr, err)
	}
	greeting, err := a.Flavor.greeting()(ctx, a.Addr)
	if err != nil {
		return nil, fmt.Errorf("dbserver: no %v answers at %s: %w", a.Flavor, a.Addr, err)
	}
	login := a.User
	if a.Password != "" {
		login += ":" + a.Password
	}
	s := &Server{opts: Options{Flavor: a.Flavor, Log: slog.New(slog.DiscardHandler)}, run: given{}, host: host, port: port, login: login}
	s.setRunning(&child{done: make(chan struct{})}, greeting)
	return s, nil
}

// Given tells whether somebody else runs the server.
func (s *Server) Given() bool { return s.run == launcher(given{}) }

// given refuses everything.
type given struct{}

func (given) String() string                                                  { return "a given server" }
func (given) prepare(context.Context, string) error                           { return ErrGiven }
func (given) launch(context.Context, int, []string, *os.File) (*child, error) { return nil, ErrGiven }
func (given) pid(*child) int                                                  { return 0 }
func (given) terminate(context.Context, *child) error                         { return ErrGiven }
func (given) kill(context.Context, *child) error                              { return ErrGiven }
func (given) pause(context.Context, *child) error                             { return ErrGiven }
func (given) resume(context.Context, *child) error                            { return ErrGiven }
func (given) remove(context.Context) error                                    { return nil }
