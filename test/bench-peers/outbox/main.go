package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
)

// spec is what a peer is told: test/bench writes it.
type spec struct {
	How      string
	URL      string // of NATS
	DSN      string // with the database
	Addr     string // of the database server
	Flavor   string
	Database string
	Before   string // GTID set to begin behind
	State    string // file for the position
}

// pollInterval is how long polling waits when it found nothing. Watermill has its own.
const pollInterval = 100 * time.Millisecond

func main() {
	var s spec
	if err := json.Unmarshal([]byte(os.Getenv("BINJET_TEST_BENCH_SPEC")), &s); err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := run(ctx, s); err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, s spec) error {
	switch s.How {
	case "polling":
		return poll(ctx, s)
	case "watermill":
		return forward(ctx, s)
	case "canal":
		return follow(ctx, s, false)
	case "canal-async":
		return follow(ctx, s, true)
	}
	return fmt.Errorf("%q is no way to publish", s.How)
}

func connect(url string) (*nats.Conn, jetstream.JetStream, error) {
	nc, err := nats.Connect(url, nats.MaxReconnects(-1))
	if err != nil {
		return nil, nil, err
	}
	js, err := jetstream.New(nc)
	return nc, js, err
}

// row is one of the outbox table.
type row struct {
	id, topic, key, headers string
	payload                 []byte
	created                 string
}

// message has binjet's headers, as far as a peer knows them.
func (r *row) message(tx string) (*nats.Msg, error) {
	m := &nats.Msg{Subject: "outbox." + r.topic, Data: r.payload, Header: nats.Header{
		binjet.HeaderID: {r.id}, binjet.HeaderTopic: {r.topic}, binjet.HeaderKey: {r.key}, binjet.HeaderSource: {"bench"}, binjet.HeaderCreatedAt: {r.created},
	}}
	if tx != "" {
		m.Header[binjet.HeaderTx] = []string{tx}
		m.Header[binjet.HeaderTxIndex] = []string{"1/1"}
	}
	if r.headers == "" {
		return m, nil
	}
	var own map[string]string
	if err := json.Unmarshal([]byte(r.headers), &own); err != nil {
		return nil, err
	}
	for name, value := range own {
		m.Header[name] = []string{value}
	}
	return m, nil
}
