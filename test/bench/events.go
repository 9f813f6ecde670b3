package main

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/binjet/binjet"
)

// What all events have in common.
const (
	streamName  = "OUTBOX"
	topic       = "orders.created"
	subject     = "outbox." + topic
	sourceName  = "bench"
	contentType = "application/json"
)

// events makes the n-th event of a load, always the same one: a row for the database,
// a message for what publishes without it.
type events struct {
	size int
	text []byte // payloads are cut out of it
	time string // of creation
	tx   string // what a GTID begins with
	per  int    // events of a transaction
}

func newEvents(size, perTx int) *events {
	random := rand.NewChaCha8([32]byte{1})
	raw := make([]byte, 32<<10+size)
	_, _ = random.Read(raw)
	return &events{size: size, per: perTx, text: []byte(hex.EncodeToString(raw)),
		time: time.Now().UTC().Format(binjet.CreatedAtLayout), tx: "3e11fa47-71ca-11e1-9e33-c80aa9429562:"}
}

func eventID(n int) string          { return fmt.Sprintf("0195f0c2-1111-7000-8000-%012d", n) }
func eventKey(n int) string         { return "order-" + strconv.Itoa(n%1000) }
func (e *events) body(n int) []byte { at := n * 61 % (64 << 10); return e.text[at : at+e.size] }

// row appends the n-th event as SQL values.
func (e *events) row(to []byte, n int) []byte {
	return fmt.Appendf(to, `('%s','%s','%s','{"Content-Type": "%s"}','%s')`, eventID(n), topic, eventKey(n), contentType, e.body(n))
}

// message is what binjet publishes for that row, less the headers of its batch.
func (e *events) message(n int) *nats.Msg {
	return &nats.Msg{Subject: subject, Data: e.body(n), Header: nats.Header{
		binjet.HeaderID:          {eventID(n)},
		binjet.HeaderTopic:       {topic},
		binjet.HeaderKey:         {eventKey(n)},
		binjet.HeaderSource:      {sourceName},
		binjet.HeaderContentType: {contentType},
		binjet.HeaderCreatedAt:   {e.time},
		binjet.HeaderTx:          {e.tx + strconv.Itoa(n/e.per+1)},
		binjet.HeaderTxIndex:     {strconv.Itoa(n%e.per+1) + "/" + strconv.Itoa(e.per)},
	}}
}
