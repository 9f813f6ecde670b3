package torture

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/binjet/binjet/test/internal/freeport"
)

// node is what a NATS process reads from its file, at the start and whenever it is
// another one.
type node struct {
	Name    string
	Port    int
	Cluster int // port of the routes; 0 for a server alone
	Routes  []string
	Store   string
	policy
}

// policy is what an operator may change while a node runs, and change back.
type policy struct {
	MaxPayload int32
	Passwords  map[string]string // by user; the checker has one that never changes
	Deny       string            // what the streamer may not publish
}

// The users of the broker.
const (
	streamerUser = "streamer"
	handlerUser  = "handler"
	checkerUser  = "checker"
	password     = "secret" // as it is before it is changed
)

func usualPolicy() policy {
	return policy{MaxPayload: 1 << 20, Passwords: map[string]string{streamerUser: password, handlerUser: password, checkerUser: password}}
}

func (n node) options() *server.Options {
	o := &server.Options{
		ServerName: n.Name, Host: "127.0.0.1", Port: n.Port, JetStream: true, StoreDir: n.Store, NoSigs: true, NoLog: true,
		SyncInterval:      2 * time.Minute, // as is usual; a kill loses nothing that was written
		JetStreamMaxStore: 1 << 40,         // a full disk is noticed by writing
		MaxPayload:        n.MaxPayload,
	}
	for _, user := range slices.Sorted(maps.Keys(n.Passwords)) {
		u := &server.User{Username: user, Password: n.Passwords[user]}
		if user == streamerUser && n.Deny != "" {
			u.Permissions = &server.Permissions{Publish: &server.SubjectPermission{Deny: []string{n.Deny}}}
		}
		o.Users = append(o.Users, u)
	}
	if n.Cluster != 0 {
		// Nobody listens where it says that it does: the only way to it is the link
		// that each of the others has been given.
		o.Cluster = server.ClusterOpts{Name: "torture", Host: "127.0.0.1", Port: n.Cluster, NoAdvertise: true, Advertise: "127.0.0.1:1"}
		o.Routes = server.RoutesFromStr(strings.Join(n.Routes, ","))
	}
	return o
}

// runNATS is the process: the server as a library, so that one build serves all.
func runNATS(file string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var text []byte
	var srv *server.Server
	for ; ctx.Err() == nil; wait(ctx, 50*time.Millisecond) {
		now, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if bytes.Equal(now, text) {
			continue
		}
		text = now
		var n node
		if err := json.Unmarshal(text, &n); err != nil {
			return err
		}
		if srv != nil {
			err = srv.ReloadOptions(n.options())
		} else if srv, err = server.NewServer(n.options()); err == nil {
			go srv.Start()
		}
		if err != nil {
			return err
		}
	}
	srv.Shutdown()
	srv.WaitForShutdown()
	return nil
}

// cluster is one NATS server, or three.
type cluster struct {
	dir    string
	nodes  []*process
	spec   []node
	routes [][]*link // from one node to another
}

// newCluster starts it. Each store is a directory that exists, or is made.
func newCluster(dir string, n int, ls *links) (*cluster, error) {
	ports, err := freeport.Find(2 * n)
	if err != nil {
		return nil, err
	}
	c := &cluster{dir: dir}
	for i := range n {
		s := node{Name: fmt.Sprintf("n%d", i+1), Port: ports[i], Store: filepath.Join(dir, fmt.Sprintf("nats-%d", i+1)), policy: usualPolicy()}
		if n > 1 {
			s.Cluster = ports[n+i]
			routes, err := c.routesFrom(i, ports[n:], ls)
			if err != nil {
				return c, err
			}
			s.Routes = urls("", routes)
		}
		c.spec = append(c.spec, s)
	}
	for i, s := range c.spec {
		if err := c.write(i); err != nil {
			return c, err
		}
		p, err := newProcess(dir, "nats-"+s.Name, func() *exec.Cmd { return self("nats", "NATS_OPTIONS="+c.file(i)) })
		if err != nil {
			return c, err
		}
		c.nodes = append(c.nodes, p)
	}
	return c, nil
}

// routesFrom opens the links of a node to the others.
func (c *cluster) routesFrom(i int, ports []int, ls *links) (addrs []string, err error) {
	from := make([]*link, len(ports))
	for k, port := range ports {
		if k == i {
			continue
		}
		if from[k], err = ls.between(fmt.Sprintf("NATS %d to NATS %d", i+1, k+1), fmt.Sprintf("127.0.0.1:%d", port)); err != nil {
			return nil, err
		}
		addrs = append(addrs, from[k].addr())
	}
	c.routes = append(c.routes, from)
	return addrs, nil
}

func (c *cluster) file(i int) string { return filepath.Join(c.dir, c.spec[i].Name+".json") }

func (c *cluster) write(i int) error {
	data, err := json.Marshal(c.spec[i])
	if err != nil {
		return err
	}
	if err := os.WriteFile(c.file(i)+".new", data, 0o644); err != nil {
		return err
	}
	return os.Rename(c.file(i)+".new", c.file(i)) // a node may be reading it
}

// change gives all nodes a policy, which they find within a moment.
func (c *cluster) change(p policy) error {
	for i := range c.spec {
		c.spec[i].policy = p
		if err := c.write(i); err != nil {
			return err
		}
	}
	return nil
}

// self is this program as one of its children, which dies with it.
func self(child string, env ...string) *exec.Cmd {
	exe, err := os.Executable()
	if err != nil {
		panic(err) // the kernel knows no name for what it runs
	}
	cmd := exec.Command(exe)
	cmd.Env = append(append(os.Environ(), childEnv+"="+child, "GORACE=atexit_sleep_ms=0"), env...)
	return cmd
}

func (c *cluster) addrs() (list []string) {
	for _, s := range c.spec {
		list = append(list, fmt.Sprintf("127.0.0.1:%d", s.Port))
	}
	return list
}

// urls are those of a user, "" for none.
func urls(user string, addrs []string) []string {
	login := ""
	if user != "" {
		login = user + ":" + password + "@"
	}
	list := make([]string, len(addrs))
	for i, a := range addrs {
		list[i] = "nats://" + login + a
	}
	return list
}

// connect is for the checker, past all links.
func (c *cluster) connect() (*nats.Conn, error) {
	return nats.Connect(strings.Join(urls(checkerUser, c.addrs()), ","), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond),
		nats.RetryOnFailedConnect(true), nats.Timeout(2*time.Second))
}

// wipe takes what a node has stored away; the node must not run. The directory
// itself stays, since it may be a file system.
func (c *cluster) wipe(i int) error { return os.RemoveAll(filepath.Join(c.spec[i].Store, "jetstream")) }

func (c *cluster) close() {
	for _, p := range c.nodes {
		p.signal(syscall.SIGCONT)
		p.kill()
	}
}
