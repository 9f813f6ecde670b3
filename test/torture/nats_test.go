package torture

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// node is what a NATS process is told.
type node struct {
	Name    string
	Port    int
	Cluster int // port of the routes; 0 for a server alone
	Routes  []string
	Store   string
}

// runNATS is the process: the server as a library, so that one build serves all.
func runNATS(options string) error {
	var n node
	if err := json.Unmarshal([]byte(options), &n); err != nil {
		return err
	}
	o := &server.Options{
		ServerName: n.Name, Host: "127.0.0.1", Port: n.Port, JetStream: true, StoreDir: n.Store, NoSigs: true, NoLog: true,
		// Written at once: what a kill leaves is then what was acknowledged, on one node too.
		SyncInterval: 2 * time.Minute,
	}
	if n.Cluster != 0 {
		o.Cluster = server.ClusterOpts{Name: "torture", Host: "127.0.0.1", Port: n.Cluster, NoAdvertise: true}
		o.Routes = server.RoutesFromStr(strings.Join(n.Routes, ","))
	}
	srv, err := server.NewServer(o)
	if err != nil {
		return err
	}
	go srv.Start()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	<-ctx.Done()
	srv.Shutdown()
	srv.WaitForShutdown()
	return nil
}

// cluster is one NATS server, or three.
type cluster struct {
	nodes []*process
	spec  []node
}

func newCluster(dir string, n int) (*cluster, error) {
	ports, err := freePorts(2 * n)
	if err != nil {
		return nil, err
	}
	c := &cluster{}
	for i := range n {
		s := node{Name: fmt.Sprintf("n%d", i+1), Port: ports[i], Store: filepath.Join(dir, fmt.Sprintf("nats-%d", i+1))}
		if n > 1 {
			s.Cluster = ports[n+i]
			for k := range n {
				s.Routes = append(s.Routes, fmt.Sprintf("nats://127.0.0.1:%d", ports[n+k]))
			}
		}
		c.spec = append(c.spec, s)
	}
	for _, s := range c.spec {
		options, err := json.Marshal(s)
		if err != nil {
			return nil, err
		}
		p, err := newProcess(dir, "nats-"+s.Name, func() *exec.Cmd {
			return self("nats", "NATS_OPTIONS="+string(options))
		})
		if err != nil {
			return c, err
		}
		c.nodes = append(c.nodes, p)
	}
	return c, nil
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

func urls(addrs []string) string {
	list := make([]string, len(addrs))
	for i, a := range addrs {
		list[i] = "nats://" + a
	}
	return strings.Join(list, ",")
}

// connect is for the checker, past all links.
func (c *cluster) connect() (*nats.Conn, error) {
	return nats.Connect(urls(c.addrs()), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond),
		nats.RetryOnFailedConnect(true), nats.Timeout(2*time.Second))
}

// wipe takes what a node has stored away; the node must not run.
func (c *cluster) wipe(i int) error { return os.RemoveAll(c.spec[i].Store) }

func (c *cluster) close() {
	for _, p := range c.nodes {
		p.signal(syscall.SIGCONT)
		p.kill()
	}
}

// freePorts are n that are free now, below those that the system gives to
// connections, so that no connection takes one while its server is down.
func freePorts(n int) (ports []int, err error) {
	for port := 11000 + os.Getpid()%8000; len(ports) < n && port < 32000; port++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		_ = l.Close()
		ports = append(ports, port)
	}
	if len(ports) < n {
		return nil, fmt.Errorf("%d ports are free, %d are needed", len(ports), n)
	}
	return ports, nil
}
