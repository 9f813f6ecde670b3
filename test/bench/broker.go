package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet/test/internal/freeport"
)

// node is what a NATS process is told.
type node struct {
	Name    string
	Port    int
	Cluster int // port of the routes; 0 for a server alone
	Routes  []string
	Store   string
}

// runNATS is nats-server with its defaults, as a library, until SIGTERM.
func runNATS(n node) error {
	o := &server.Options{ServerName: n.Name, Host: "127.0.0.1", Port: n.Port, JetStream: true, StoreDir: n.Store, NoSigs: true, NoLog: true}
	if n.Cluster != 0 {
		o.Cluster = server.ClusterOpts{Name: "bench", Host: "127.0.0.1", Port: n.Cluster, NoAdvertise: true}
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

// broker is one NATS server, or three, each a process.
type broker struct {
	nodes []*child
	dir   string
	url   string
	nc    *nats.Conn
	js    jetstream.JetStream
}

func (w *world) startBroker(ctx context.Context, n int) (b *broker, err error) {
	b = &broker{}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	if b.dir, err = os.MkdirTemp(w.dir, "nats-"); err != nil {
		return b, err
	}
	ports, err := freeport.Find(2 * n)
	if err != nil {
		return b, err
	}
	var urls []string
	for i := range n {
		s := node{Name: fmt.Sprintf("n%d", i+1), Port: ports[i], Store: filepath.Join(b.dir, fmt.Sprint(i+1))}
		for k := range n {
			if n > 1 {
				s.Cluster = ports[n+i]
				s.Routes = append(s.Routes, fmt.Sprintf("nats://127.0.0.1:%d", ports[n+k]))
			}
		}
		c, err := w.startRole("nats", s, w.apart.brokers...)
		if err != nil {
			return b, err
		}
		b.nodes = append(b.nodes, c)
		urls = append(urls, fmt.Sprintf("nats://127.0.0.1:%d", ports[i]))
	}
	b.url = strings.Join(urls, ",")
	return b, b.connect(ctx)
}

// connect waits until every server is there and JetStream has a leader.
func (b *broker) connect(ctx context.Context) (err error) {
	if b.nc, err = nats.Connect(b.url, nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond)); err != nil {
		return err
	}
	if b.js, err = jetstream.New(b.nc); err != nil {
		return err
	}
	return poll(ctx, time.Minute, "JetStream to be ready", func() (bool, error) {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		cfg := jetstream.StreamConfig{Name: "READY", Subjects: []string{"ready"}, Replicas: len(b.nodes)}
		if _, err := b.js.CreateStream(ctx, cfg); err != nil {
			return false, nil //nolint:nilerr // it is asked again
		}
		return true, nil
	})
}

func (b *broker) close() {
	if b.nc != nil {
		b.nc.Close()
	}
	for _, c := range b.nodes {
		c.kill() // what it stored is removed: no reason to let it write that down
	}
	_ = os.RemoveAll(b.dir)
}

func (b *broker) pids() (list []int) {
	for _, c := range b.nodes {
		list = append(list, c.pid())
	}
	return list
}

// clear deletes all streams, buckets among them.
func (b *broker) clear(ctx context.Context) error {
	names := b.js.StreamNames(ctx)
	for name := range names.Name() {
		if err := b.js.DeleteStream(ctx, name); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			return fmt.Errorf("delete stream %s: %w", name, err)
		}
	}
	return names.Err()
}

// poll asks ready again and again, for at most as long as within.
func poll(ctx context.Context, within time.Duration, what string, ready func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("waited %s for %s", within, what))
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := ready(); ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
