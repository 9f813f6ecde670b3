package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/binjet/binjet/test/internal/freeport"
)

// binjetName is the name of its processes.
const binjetName = "binjet"

// streamer is a `binjet run` with its defaults.
type streamer struct {
	*child
	metrics string // URL
	profile string // file, "" for none
}

// binjet is the command with what it has to know, and defaults for the rest.
func (w *world) binjet(b *broker, load *backlog, start string, args ...string) *exec.Cmd {
	cmd := exec.Command(w.bin, args...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "BINJET_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "BINJET_SOURCE_NAME="+sourceName, "BINJET_SOURCE_DSN="+w.srv.DSN(load.db), "BINJET_SOURCE_START="+start,
		"BINJET_NATS_URL="+b.url, fmt.Sprintf("BINJET_STREAM_REPLICAS=%d", len(b.nodes)))
	if w.opts.heartbeat != 0 {
		cmd.Env = append(cmd.Env, "BINJET_RELAY_HEARTBEAT="+w.opts.heartbeat.String())
	}
	return cmd
}

// initStream makes the stream anew, with the configuration that binjet gives it.
func (w *world) initStream(ctx context.Context, b *broker, load *backlog) error {
	if err := b.clear(ctx); err != nil {
		return err
	}
	// On a machine that is busy, one of three servers may be taken for offline for a moment.
	var failed error
	err := poll(ctx, time.Minute, "binjet init", func() (bool, error) {
		cmd := w.binjet(b, load, "earliest", "init")
		if out, err := cmd.CombinedOutput(); err != nil {
			failed = fmt.Errorf("binjet init: %w\n%s", err, out)
			return false, nil
		}
		return true, nil
	})
	if err != nil {
		return errors.Join(err, failed)
	}
	return nil
}

// start is a GTID set or a policy.
func (w *world) startStreamer(b *broker, load *backlog, start string) (*streamer, error) {
	ports, err := freeport.Find(1)
	if err != nil {
		return nil, err
	}
	addr := "127.0.0.1:" + strconv.Itoa(ports[0])
	cmd := w.binjet(b, load, start, "run")
	cmd.Env = append(cmd.Env, "BINJET_HTTP_LISTEN="+addr, "GODEBUG=gctrace=1")
	s := &streamer{metrics: "http://" + addr + "/metrics", profile: w.profilePath()}
	if s.profile != "" {
		cmd.Env = append(cmd.Env, profileEnv+"="+s.profile)
	}
	s.child, err = startChild(w.dir, binjetName, cmd)
	return s, err
}

// scrape reads its metrics, by name, those with the same name added up.
func (s *streamer) scrape(ctx context.Context) (map[string]float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.metrics, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	values := make(map[string]float64)
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		line := lines.Text()
		at := strings.LastIndexByte(line, ' ')
		if at < 0 || line[0] == '#' {
			continue
		}
		name, _, _ := strings.Cut(line[:at], "{")
		if v, err := strconv.ParseFloat(line[at+1:], 64); err == nil {
			values[name] += v
		}
	}
	return values, nil
}

// firstScrape waits for its admin server, which is up before it reads anything.
func (s *streamer) firstScrape(ctx context.Context) (m map[string]float64, err error) {
	err = poll(ctx, time.Minute, "binjet's metrics", func() (bool, error) {
		if s.ended() {
			return false, s.failed()
		}
		var err error
		m, err = s.scrape(ctx)
		return err == nil, nil
	})
	return m, err
}

// gcTime is the processor time of garbage collection, from the runtime's trace:
//
//	gc 7 @0.30s 2%: 0.03+1.1+0.02 ms clock, 0.06+0.5/1.0/0.2+0.04 ms cpu, …
func (s *streamer) gcTime() (sum time.Duration, err error) {
	text, err := os.ReadFile(s.log)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "gc ") {
			continue
		}
		_, rest, _ := strings.Cut(line, " ms clock, ")
		cpu, _, _ := strings.Cut(rest, " ms cpu")
		parts := strings.FieldsFunc(cpu, func(r rune) bool { return r == '+' || r == '/' })
		if len(parts) != 5 {
			continue
		}
		for i, p := range parts {
			if ms, err := strconv.ParseFloat(p, 64); err == nil && i != 3 { // the idle workers' time was nobody's
				sum += time.Duration(ms * float64(time.Millisecond))
			}
		}
	}
	return sum, nil
}
