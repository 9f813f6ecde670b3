package dbserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// ErrNotRunning is what Pause and Resume give when there is no server to act on.
var ErrNotRunning = errors.New("the server is not running: call Restart")

// errClosed is what a use after Close gives.
var errClosed = errors.New("the server is closed: call Start for a new one")

// killTimeout bounds a kill, which needs no one's cooperation.
const killTimeout = 30 * time.Second

// Stop shuts the server down cleanly and waits for its end. When ctx ends first,
// the server may still be running. To stop a server that is not running is no error.
func (s *Server) Stop(ctx context.Context) error {
	c := s.current()
	if c == nil || c.ended() {
		return nil
	}
	c.told.Store(true)
	if err := s.run.terminate(ctx, c); err != nil {
		return fmt.Errorf("dbserver: stop: %w", err)
	}
	if err := c.wait(ctx); err != nil {
		return fmt.Errorf("dbserver: stop: waiting for the end: %w", err)
	}
	if c.err != nil {
		return fmt.Errorf("dbserver: stop: it did not end cleanly (see %s): %w", s.LogFile(), c.err)
	}
	return nil
}

// Kill ends the server with SIGKILL, paused or not, and waits until it is gone.
// To kill a server that is not running is no error.
func (s *Server) Kill() error {
	if err := s.killChild(s.current()); err != nil {
		return fmt.Errorf("dbserver: %w", err)
	}
	return nil
}

func (s *Server) killChild(c *child) error {
	if c == nil || c.ended() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), killTimeout)
	defer cancel()
	c.told.Store(true)
	if err := s.run.kill(ctx, c); err != nil {
		return fmt.Errorf("kill: %w", err)
	}
	if err := c.wait(ctx); err != nil {
		return fmt.Errorf("kill: waiting for the end: %w", err)
	}
	return nil
}

// Restart starts the server again on the same data and the same port, and
// returns once it accepts connections. A server that runs is stopped cleanly
// before. The arguments are more server options, for this run only.
func (s *Server) Restart(ctx context.Context, args ...string) error {
	s.ops.Lock()
	defer s.ops.Unlock()
	if s.isClosed() {
		return fmt.Errorf("dbserver: restart: %w", errClosed)
	}
	if err := s.Stop(ctx); err != nil {
		return err
	}
	if err := s.launch(ctx, args); err != nil {
		return fmt.Errorf("dbserver: restart %s: %w", s.run, err)
	}
	return nil
}

// Pause freezes the server (SIGSTOP): its connections stay open and silent. When
// it returns, nothing in the server runs any more.
func (s *Server) Pause() error { return s.act("pause", s.run.pause) }

// Resume lets a paused server go on.
func (s *Server) Resume() error { return s.act("resume", s.run.resume) }

func (s *Server) act(what string, do func(context.Context, *child) error) error {
	c := s.current()
	if c == nil || c.ended() {
		return fmt.Errorf("dbserver: %s: %w", what, ErrNotRunning)
	}
	ctx, cancel := context.WithTimeout(context.Background(), killTimeout)
	defer cancel()
	if err := do(ctx, c); err != nil {
		return fmt.Errorf("dbserver: %s: %w", what, err)
	}
	return nil
}

func (s *Server) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// Close kills the server and removes its data: the directory, if Start made
// it, or the container. It may be called more than once. A server that had ended
// by itself, as one that crashed has, is an error that shows the end of its log.
func (s *Server) Close() error {
	s.ops.Lock()
	defer s.ops.Unlock()
	if s.isClosed() {
		return nil
	}
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), killTimeout)
	defer cancel()
	if s.Given() {
		return nil
	}
	err := errors.Join(s.crash(), s.killChild(s.current()), s.run.remove(ctx))
	if s.ownDir {
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	if err != nil {
		return fmt.Errorf("dbserver: close: %w", err)
	}
	return nil
}

// crash is an error when the server ended and nobody had told it to.
func (s *Server) crash() error {
	c := s.current()
	if c == nil || !c.ended() || c.told.Load() {
		return nil
	}
	return fmt.Errorf("%s had ended by itself (%v); its log ends with:\n%s", s.run, c.how(), logTail(s.LogFile(), 0))
}
