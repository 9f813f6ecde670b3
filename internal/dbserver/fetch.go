package dbserver

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

//go:embed scripts/get-server.sh
var getServer string

// fromMirror fetches a server into the cache. Of several processes that want
// one, the first fetches and the others find it.
func fromMirror(ctx context.Context, o Options, _ func(string) string) (launcher, error) {
	text, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return nil, fmt.Errorf("works on Debian and Ubuntu only: %w", err)
	}
	plan, err := planFetch(parseRelease(string(text)), o.Flavor, o.Version)
	if err != nil {
		return nil, err
	}
	base := filepath.Join(o.CacheDir, o.Flavor.name())
	unlock, err := lockFile(ctx, base+".lock")
	if err != nil {
		return nil, err
	}
	defer unlock()
	if l, err := fromCache(ctx, o, nil); err == nil {
		return l, nil
	}
	tmp, err := stagingDir(base)
	if err != nil {
		return nil, err
	}
	program, err := fetch(ctx, o, plan, tmp)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(tmp))
	}
	return newHost(ctx, o, program)
}

// fetch runs the script on an empty directory and moves the result to where
// fromCache finds it.
func fetch(ctx context.Context, o Options, plan fetchPlan, tmp string) (program string, err error) {
	o.Progress(fmt.Sprintf("fetching %v from the package mirror into %s", o.Flavor, o.CacheDir))
	if err := runScript(ctx, o, plan, tmp); err != nil {
		return "", err
	}
	text, err := os.ReadFile(filepath.Join(tmp, ".complete"))
	if err != nil {
		return "", err
	}
	b, err := parseBuild(string(text))
	if err != nil {
		return "", err
	}
	if err := b.check(o); err != nil {
		return "", err
	}
	dir, err := placeFor(filepath.Join(o.CacheDir, o.Flavor.name()+"-"), b.version)
	if err != nil {
		return "", err
	}
	if err := os.Rename(tmp, dir); err != nil {
		return "", err
	}
	return filepath.Join(dir, "bin", plan.program), nil
}

// placeFor names a tree by its series, or by its whole version when another of
// the series is there: somebody may be running that. What has the very same
// version was no good, or it would have been taken.
func placeFor(prefix string, v version) (string, error) {
	dir := prefix + v.series()
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return dir, nil
	}
	dir = prefix + v.String()
	return dir, os.RemoveAll(dir)
}

// runScript hands the script's output on as progress.
func runScript(ctx context.Context, o Options, plan fetchPlan, dir string) error {
	r, w := io.Pipe()
	var wg sync.WaitGroup
	wg.Go(func() {
		for lines := bufio.NewScanner(r); lines.Scan(); {
			o.Progress(lines.Text())
		}
		_, _ = io.Copy(io.Discard, r) // a line too long to scan must not block the script
	})
	var said bytes.Buffer
	cmd := exec.Command("bash", "-c", getServer, "get-server.sh", dir)
	cmd.Stdout, cmd.Stderr = w, &said
	cmd.Env = append(os.Environ(), plan.env()...)
	err := runChild(ctx, cmd)
	_ = w.Close()
	wg.Wait()
	if err != nil {
		return fmt.Errorf("fetch: %w: %s", err, strings.TrimSpace(lastLines(said.String(), 10)))
	}
	return nil
}
