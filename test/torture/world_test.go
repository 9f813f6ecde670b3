package torture

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/test/internal/freeport"
)

// world is everything of one run.
type world struct {
	t   *testing.T
	dir string

	db        *database
	nats      *cluster
	nc        *nats.Conn
	links     *links
	wire      *wire
	streamers []*process
	clocks    []*clock // of the streamers; none if they can't be set
	admin     []string // addresses of their metrics
	handlers  []*process
	cuts      int              // between NATS nodes, so far
	excused   []*regexp.Regexp // what a streamer may halt for by now
	low       []lowered        // when max_payload was lower
	faults    []string         // what the nemesis did
}

// partitions of the stream.
const partitions = 4

// setting is what a run is made of.
type setting struct {
	flavor   dbserver.Flavor
	nodes    int
	streamer string // the program
	mutant   string // what is broken in it, or in the handlers; "" for nothing
	wide     bool   // with a second database, file systems of the nodes' own and clocks
}

func newWorld(t *testing.T, s setting) *world {
	t.Helper()
	w := &world{t: t, links: newLinks(), wire: newWire()}
	w.ownDir()
	w.startDatabase(s)
	var err error
	if s.wide {
		w.ownDisks(s.nodes)
	}
	w.nats, err = newCluster(w.dir, s.nodes, w.links)
	t.Cleanup(w.nats.close)
	must(t, err)
	w.nc, err = w.nats.connect()
	must(t, err)
	t.Cleanup(w.nc.Close)
	t.Cleanup(w.links.close)
	t.Cleanup(w.wire.close)
	must(t, w.until("JetStream is ready", time.Minute, func() bool {
		_, err := w.ask("$JS.API.INFO")
		return err == nil
	}))
	w.startStreamers(s)
	must(t, w.until("a leader", time.Minute, func() bool {
		_, err := w.checkpoint()
		return err == nil
	}))
	w.startHandlers(s)
	return w
}

// natsLinks opens a link to each node for one process.
func (w *world) natsLinks(who string) (addrs []string) {
	for i, addr := range w.nats.addrs() {
		l, err := w.links.to(fmt.Sprintf("%s to NATS %d", who, i+1), addr)
		must(w.t, err)
		addrs = append(addrs, l.addr())
	}
	return addrs
}

// databaseLink opens one to the database that is the primary.
func (w *world) databaseLink(who string) string {
	l, err := w.links.to(who+" to the database", w.db.primary().Addr())
	must(w.t, err)
	w.db.links = append(w.db.links, l)
	return l.addr()
}

// tapped puts the wire's ear before each.
func (w *world) tapped(addrs []string) (taps []string) {
	for _, addr := range addrs {
		tap, err := w.wire.tap(addr)
		must(w.t, err)
		taps = append(taps, tap)
	}
	return taps
}

func (w *world) startStreamers(s setting) {
	ports, err := freeport.Find(2)
	must(w.t, err)
	for i, port := range ports {
		name := fmt.Sprintf("streamer-%d", i+1)
		admin := fmt.Sprintf("127.0.0.1:%d", port)
		brokers := strings.Join(urls(streamerUser, w.tapped(w.natsLinks(name))), ",")
		env := append(os.Environ(),
			"BINJET_SOURCE_NAME=shop", "BINJET_SOURCE_START=earliest", "BINJET_SOURCE_TABLES=outbox,outbox_hole",
			"BINJET_SOURCE_DSN="+streamerUser+":"+password+"@tcp("+w.databaseLink(name)+")/shop", "BINJET_SOURCE_HEARTBEAT=300ms", "BINJET_NATS_URL="+brokers,
			fmt.Sprintf("BINJET_STREAM_REPLICAS=%d", s.nodes), fmt.Sprintf("BINJET_STREAM_PARTITIONS=%d", partitions), "BINJET_HTTP_LISTEN="+admin, "BINJET_LOG_FORMAT=json",
			"BINJET_RELAY_HEARTBEAT=150ms", "BINJET_RELAY_COMMIT_TIMEOUT=500ms", mutantEnv+"="+s.mutant)
		if s.wide {
			c, err := newClock(filepath.Join(w.dir, name+".clock"))
			must(w.t, err)
			w.clocks, env = append(w.clocks, c), append(env, clockEnv+"="+c.file)
		}
		p, err := newProcess(w.dir, name, func() *exec.Cmd {
			cmd := exec.Command(s.streamer, "run")
			cmd.Env, cmd.Dir = env, w.dir
			return cmd
		})
		must(w.t, err)
		w.streamers, w.admin = append(w.streamers, p), append(w.admin, admin)
		w.t.Cleanup(p.kill)
	}
}

func (w *world) startHandlers(s setting) {
	for i := range 2 {
		name := fmt.Sprintf("handler-%d", i+1)
		env := []string{"NATS=" + strings.Join(urls(handlerUser, w.natsLinks(name)), ","), mutantEnv + "=" + s.mutant,
			"DSN=" + handlerUser + ":" + password + "@tcp(" + w.databaseLink(name) + ")/handled?timeout=2s&readTimeout=5s&writeTimeout=5s"}
		p, err := newProcess(w.dir, name, func() *exec.Cmd { return self("handler", env...) })
		must(w.t, err)
		w.handlers = append(w.handlers, p)
		w.t.Cleanup(p.kill)
	}
}

// revive starts again what ended by itself, as a supervisor does. A streamer that
// says that a promise would be broken has failed the run.
func (w *world) revive() error {
	for _, p := range append(append([]*process{}, w.streamers...), w.handlers...) {
		code, ended := p.ended()
		switch {
		case !ended:
			continue
		case code == 2, code == 3 && !w.isExcused(p):
			return fmt.Errorf("%s ended with code %d: see its log", p.name, code)
		}
		if err := p.start(); err != nil {
			return err
		}
	}
	return nil
}

// isExcused reports whether a streamer halted for something that was done to it.
func (w *world) isExcused(p *process) bool {
	said := p.said()
	return slices.ContainsFunc(w.excused, func(r *regexp.Regexp) bool { return r.MatchString(said) })
}

// until polls, for as long as a cluster may take to recover on a slow machine, and
// revives meanwhile.
func (w *world) until(what string, within time.Duration, cond func() bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	for !cond() {
		if err := w.revive(); err != nil {
			return fmt.Errorf("while waiting for %s: %w", what, err)
		}
		wait(ctx, 50*time.Millisecond)
		if ctx.Err() != nil {
			return fmt.Errorf("waited for %s, for %s", what, within)
		}
	}
	return nil
}

// ask sends a request to the JetStream API.
func (w *world) ask(subject string, body ...byte) (map[string]any, error) {
	msg, err := w.nc.Request(subject, body, 2*time.Second)
	if err != nil {
		return nil, err
	}
	var answer map[string]any
	return answer, json.Unmarshal(msg.Data, &answer)
}

// allCurrent reports whether every replica of every stream has everything.
func (w *world) allCurrent() bool {
	answer, err := w.ask("$JS.API.STREAM.LIST", []byte(`{"offset":0}`)...)
	if err != nil || answer["error"] != nil {
		return false
	}
	data, err := json.Marshal(answer["streams"])
	if err != nil {
		return false
	}
	var list []struct {
		Cluster struct {
			Leader   string `json:"leader"`
			Replicas []struct {
				Current bool `json:"current"`
				Offline bool `json:"offline"`
			} `json:"replicas"`
		} `json:"cluster"`
	}
	if json.Unmarshal(data, &list) != nil || len(list) == 0 {
		return false
	}
	for _, s := range list {
		if s.Cluster.Leader == "" {
			return false
		}
		for _, r := range s.Cluster.Replicas {
			if !r.Current || r.Offline {
				return false
			}
		}
	}
	return true
}
