package dbserver

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Launcher runs servers in a way that this package does not know, such as through the
// API of a container engine; see [Options.Launcher].
type Launcher interface {
	// Launch starts a server. It need not wait until the server accepts connections.
	Launch(ctx context.Context, l Launch) (Process, error)
	// String names the way, for errors.
	String() string
}

// Launch is one start of a server.
type Launch struct {
	Flavor  Flavor
	Version string   // as asked for; "" is any
	Data    string   // absolute; empty at the first start, and kept over a restart
	Port    int      // of 127.0.0.1, where the server has to listen
	Args    []string // server options
	Log     string   // the file that what the server says is appended to
}

// Process is a server that a [Launcher] has started. Wait is called once, the others from
// any goroutine.
type Process interface {
	// Wait returns when the server has ended: nil when it ended cleanly.
	Wait() error
	// Terminate asks it to end cleanly, paused or not.
	Terminate(ctx context.Context) error
	// Kill ends it at once, paused or not. That it has ended already is no error.
	Kill(ctx context.Context) error
	Pause(ctx context.Context) error
	Resume(ctx context.Context) error
}

// external runs servers through a Launcher.
type external struct {
	opts Options
	dir  string // set by prepare
}

func (e *external) String() string {
	return strings.TrimSpace(fmt.Sprintf("%v %s by %v", e.opts.Flavor, e.opts.Version, e.opts.Launcher))
}

func (e *external) prepare(_ context.Context, dir string) error {
	e.dir = dir
	return os.MkdirAll(filepath.Join(dir, "data"), 0o755)
}

func (e *external) launch(ctx context.Context, port int, args []string, log *os.File) (*child, error) {
	p, err := e.opts.Launcher.Launch(ctx, Launch{
		Flavor: e.opts.Flavor, Version: e.opts.Version, Data: filepath.Join(e.dir, "data"), Port: port, Args: args, Log: log.Name(),
	})
	if err != nil {
		return nil, err
	}
	c := &child{process: p, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		c.err = p.Wait()
	}()
	return c, nil
}

func (e *external) pid(*child) int { return 0 }

func (e *external) terminate(ctx context.Context, c *child) error { return c.process.Terminate(ctx) }

func (e *external) kill(ctx context.Context, c *child) error { return c.process.Kill(ctx) }

func (e *external) pause(ctx context.Context, c *child) error { return c.process.Pause(ctx) }

func (e *external) resume(ctx context.Context, c *child) error { return c.process.Resume(ctx) }

func (e *external) remove(context.Context) error { return nil }
