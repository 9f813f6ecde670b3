package testdb

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/testcontainers/testcontainers-go"
	tclog "github.com/testcontainers/testcontainers-go/log"
	"github.com/testcontainers/testcontainers-go/wait"

	"github.com/binjet/binjet/internal/natstest"
	"github.com/binjet/binjet/test/internal/freeport"
)

// Broker is a NATS server that a test may connect to, and do no more to.
type Broker interface {
	URL() string
	Connect(tb testing.TB, opts ...nats.Option) *nats.Conn
}

// NewBroker starts a broker for one test, in this process or, with that backend, in a
// container; or it takes the one that BINJET_TEST_NATS_URL names. A test may ask once.
func NewBroker(tb testing.TB) Broker {
	tb.Helper()
	url := os.Getenv("BINJET_TEST_NATS_URL")
	switch {
	case url == "" && os.Getenv("BINJET_TEST_BACKEND") == "containers":
		return containedBroker(tb)
	case url == "":
		return natstest.Start(tb)
	}
	b := given{url}
	must := func(err error) {
		if err != nil {
			tb.Fatalf("BINJET_TEST_NATS_URL: %v", err)
		}
	}
	js, err := jetstream.New(b.Connect(tb))
	must(err)
	takeBroker.Lock() // streams have the same names in all tests
	tb.Cleanup(takeBroker.Unlock)
	must(b.empty(tb.Context(), js))
	tb.Cleanup(func() { must(b.clear(context.Background(), js)) })
	return b
}

var takeBroker sync.Mutex

// containedBroker is one of the image that BINJET_TEST_NATS_IMAGE names, on this machine's network.
func containedBroker(tb testing.TB) Broker {
	tb.Helper()
	image := cmp.Or(os.Getenv("BINJET_TEST_NATS_IMAGE"), "nats:2")
	ports, err := freeport.Find(1)
	if err != nil {
		tb.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", ports[0])
	c, err := testcontainers.GenericContainer(tb.Context(), testcontainers.GenericContainerRequest{
		ContainerRequest: testcontainers.ContainerRequest{
			Image:              image,
			Cmd:                []string{"-js", "-sd", "/data", "-a", "127.0.0.1", "-p", fmt.Sprint(ports[0])},
			Labels:             map[string]string{"binjet.test": os.Getenv("BINJET_TEST_RUN")},
			HostConfigModifier: func(h *container.HostConfig) { h.NetworkMode = "host" },
			WaitingFor:         wait.ForLog("Server is ready"),
		},
		Logger:  tclog.NewNoopLogger(),
		Started: true,
	})
	testcontainers.CleanupContainer(tb, c)
	if err != nil {
		tb.Fatalf("start the broker %s: %v", image, err)
	}
	return given{"nats://" + addr}
}

// given is a broker that runs already.
type given struct{ url string }

func (b given) URL() string { return b.url }

func (b given) Connect(tb testing.TB, opts ...nats.Option) *nats.Conn {
	tb.Helper()
	nc, err := nats.Connect(b.url, opts...)
	if err != nil {
		tb.Fatalf("connect to the broker %s: %v", b.url, err)
	}
	tb.Cleanup(nc.Close)
	return nc
}

func (b given) streams(ctx context.Context, js jetstream.JetStream) (names []string, err error) {
	list := js.StreamNames(ctx)
	for name := range list.Name() {
		names = append(names, name)
	}
	return names, list.Err()
}

// empty: what is there may be somebody's, so a test neither uses nor removes it.
func (b given) empty(ctx context.Context, js jetstream.JetStream) error {
	names, err := b.streams(ctx, js)
	if err == nil && len(names) > 0 {
		err = fmt.Errorf("the account holds the streams %s: tests need one without any", strings.Join(names, ", "))
	}
	return err
}

func (b given) clear(ctx context.Context, js jetstream.JetStream) error {
	names, err := b.streams(ctx, js)
	for _, name := range names {
		if err == nil {
			err = js.DeleteStream(ctx, name)
		}
	}
	return err
}
