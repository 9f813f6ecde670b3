package torture

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// link is the only way from one process to another: a TCP proxy that can be cut,
// slowed, or made to swallow one direction.
type link struct {
	name  string
	proxy *toxiproxy.Proxy
}

// links makes them. One server of toxiproxy serves all; its HTTP side never listens.
type links struct {
	server *toxiproxy.ApiServer
	all    []*link // of the processes that are tested
	others []*link // between NATS nodes
}

func newLinks() *links {
	return &links{server: toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())}
}

// to opens a link of a process that is tested to upstream.
func (ls *links) to(name, upstream string) (*link, error) {
	l, err := ls.open(name, upstream)
	if err == nil {
		ls.all = append(ls.all, l)
	}
	return l, err
}

// between opens one that a cluster has within itself.
func (ls *links) between(name, upstream string) (*link, error) {
	l, err := ls.open(name, upstream)
	if err == nil {
		ls.others = append(ls.others, l)
	}
	return l, err
}

func (ls *links) open(name, upstream string) (*link, error) {
	p := toxiproxy.NewProxy(ls.server, name, "127.0.0.1:0", upstream)
	if err := p.Start(); err != nil {
		return nil, fmt.Errorf("open link %s: %w", name, err)
	}
	return &link{name: name, proxy: p}, nil
}

func (l *link) addr() string { return l.proxy.Listen }

// cut ends its connections and refuses new ones, until mend.
func (l *link) cut() { l.proxy.Stop() }

// hang lets nothing through in either direction, and closes nothing: both ends keep a
// connection that leads nowhere.
func (l *link) hang() error {
	return errors.Join(l.toxic("timeout", "downstream", `"timeout":0`), l.toxic("timeout", "upstream", `"timeout":0`))
}

// lead ends its connections and leads to another server from now on.
func (l *link) lead(upstream string) error {
	return l.proxy.Update(&toxiproxy.Proxy{Listen: l.proxy.Listen, Upstream: upstream, Enabled: true})
}

// toxic changes what passes, until mend: see toxiproxy for the kinds.
func (l *link) toxic(kind, stream, attributes string) error {
	_, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(
		fmt.Sprintf(`{"name":%q,"type":%q,"stream":%q,"attributes":{%s}}`, kind+"-"+stream, kind, stream, attributes)))
	return err
}

// mend makes it whole. What a swallowing toxic held back is lost with its connection.
func (l *link) mend() error {
	l.proxy.Toxics.ResetToxics(context.Background())
	if l.proxy.Enabled {
		return nil
	}
	return l.proxy.Start()
}

func (ls *links) close() {
	for _, l := range append(ls.others, ls.all...) {
		l.proxy.Stop()
	}
}
