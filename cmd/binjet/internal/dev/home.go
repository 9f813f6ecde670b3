package dev

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/binjet/binjet/internal/dbserver"
)

const (
	stateFile  = "dev.json" // also the mark of a directory that is ours
	lockFile   = "dev.lock"
	configFile = "binjet.yaml"
	natsDir    = "nats"
	ignoreFile = ".gitignore"
)

// State is what the next start has to do again, so that connection strings stay the same.
type State struct {
	// Flavor of the database, "" where its DSN was given.
	Flavor       dbserver.Flavor `json:"database,omitempty"`
	DatabasePort int             `json:"database_port,omitempty"`
	NATSPort     int             `json:"nats_port,omitempty"`
}

// Home is a directory that [Open] has locked.
type Home struct {
	Dir   string // absolute
	State State  // of the last start; zero before the first

	unlock func()
}

// Open makes the directory when it is absent, and locks it until [Home.Close]. fresh
// empties one that is ours. A directory with something else in it is refused, and so
// is one that another process uses.
func Open(dir string, fresh bool) (*Home, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if err := ours(dir); err != nil {
		return nil, err
	}
	unlock, ok, err := dbserver.TryLock(filepath.Join(dir, lockFile))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("another binjet dev uses %s: end it, or choose another --dir", dir)
	}
	h := &Home{Dir: dir, unlock: unlock}
	if err := h.begin(fresh); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

// ours refuses a directory in which there is something, and no state of ours.
func ours(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	other := ""
	for _, e := range entries {
		switch e.Name() {
		case stateFile:
			return nil
		case lockFile, ignoreFile: // a start that ended before it had a state
		default:
			other = e.Name()
		}
	}
	if other != "" {
		return fmt.Errorf("%s is not a directory of binjet dev: it holds %s and no %s; choose another --dir", dir, other, stateFile)
	}
	return nil
}

func (h *Home) begin(fresh bool) error {
	if fresh {
		if err := h.wipe(); err != nil {
			return fmt.Errorf("empty %s: %w", h.Dir, err)
		}
	}
	data, err := os.ReadFile(h.path(stateFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		if err := json.Unmarshal(data, &h.State); err != nil {
			return fmt.Errorf("read %s: %w; next: --fresh begins anew", h.path(stateFile), err)
		}
	}
	if err := os.WriteFile(h.path(ignoreFile), []byte("*\n"), 0o644); err != nil {
		return err
	}
	return h.Save() // from now on it is ours
}

// wipe removes what we made, the mark last: what is cut in the middle is still ours.
func (h *Home) wipe() error {
	for _, name := range []string{natsDir, string(dbserver.MySQL), string(dbserver.MariaDB), configFile, stateFile} {
		if err := os.RemoveAll(h.path(name)); err != nil {
			return err
		}
	}
	return nil
}

// Save keeps the state for the next start.
func (h *Home) Save() error {
	data, err := json.MarshalIndent(h.State, "", "  ")
	if err != nil {
		return err
	}
	return replace(h.path(stateFile), append(data, '\n'))
}

// Configure writes the configuration file for the other commands, and returns its path.
func (h *Home) Configure(text string) (string, error) {
	path := h.path(configFile)
	return path, replace(path, []byte(text))
}

// replace writes a file whole, or leaves the one before.
func replace(path string, data []byte) error {
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func (h *Home) path(name string) string { return filepath.Join(h.Dir, name) }

// Close gives the directory free. What it holds stays.
func (h *Home) Close() error {
	h.unlock()
	return nil
}
