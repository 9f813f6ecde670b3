package security

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/consumer"
	"github.com/binjet/binjet/consumer/inbox"
	"github.com/binjet/binjet/internal/dbserver"
	"github.com/binjet/binjet/internal/leastprivilege"
	"github.com/binjet/binjet/internal/natstest"
	"github.com/binjet/binjet/producer"
	"github.com/binjet/binjet/test/internal/testdb"
)

// grant makes an account by the statements of the page.
func (d *database) grant(t *testing.T, name string) {
	t.Helper()
	for _, statement := range leastprivilege.Grants(t, name) {
		d.exec(t, statement)
	}
}

// guarded is a broker that knows the users of the page.
type guarded struct {
	*natstest.Server

	mu     sync.Mutex
	denied []string
}

func startGuarded(t *testing.T) *guarded {
	return &guarded{Server: natstest.Start(t, leastprivilege.Broker(t))}
}

// connect logs in as a user of the page, and keeps what is denied.
func (g *guarded) connect(t *testing.T, user string) jetstream.JetStream {
	t.Helper()
	nc := g.Connect(t, nats.UserInfo(user, leastprivilege.Password), nats.CustomInboxPrefix(leastprivilege.Inbox(user)),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.denied = append(g.denied, user+": "+err.Error())
		}))
	js, err := jetstream.New(nc)
	must(t, err)
	return js
}

func (g *guarded) noneDenied(t *testing.T, logs ...string) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, line := range append(logs, g.denied...) {
		if strings.Contains(strings.ToLower(line), "permissions violation") {
			t.Error(line)
		}
	}
}

// as is the environment of a command that logs in to both as accounts of the page.
func (g *guarded) as(user, dsn string) env {
	e := env{"BINJET_SOURCE_DSN": dsn, "BINJET_NATS_URL": g.URL(), "BINJET_RELAY_HEARTBEAT": "200ms", "BINJET_STREAM_MANAGE": "false"}
	for _, kv := range leastprivilege.Env(user) {
		k, v, _ := strings.Cut(kv, "=")
		e[k] = v
	}
	return e
}

// TestAccounts: everything, each part with the account that docs/security.md gives
// it: init, a snapshot, two streamers of which one stops, a row that can't be
// published, consumers with and without order, dead letters and their replay, and
// what looks on.
func TestAccounts(t *testing.T) {
	t.Parallel()
	flavours(t, func(t *testing.T, flavor dbserver.Flavor) {
		d, g := startDatabase(t, flavor), startGuarded(t)
		in, err := inbox.NewSQL(inbox.SQLConfig{})
		must(t, err)
		must(t, in.EnsureSchema(t.Context(), d.root))
		d.grant(t, "init")
		// A table of that name is what the other accounts' rights are on.
		g.as("admin", d.as("binjet_init", leastprivilege.Password)).with(env{"BINJET_STREAM_MANAGE": "true"}).ok(t, "init")
		for _, name := range []string{"streamer", "producer", "consumer", "viewer", "prune", "bench"} {
			d.grant(t, name)
		}
		streamer := g.as("streamer", d.as("binjet", leastprivilege.Password))
		viewer := g.as("viewer", d.as("binjet", leastprivilege.Password))
		viewer.ok(t, "check")

		write := shop(t, d)
		write("a")
		first := streamer.start(t)
		first.leads(t)
		write("b")
		d.exec(t, "INSERT INTO outbox (id, topic, payload) VALUES ('bad', 'a b', 'x')")
		second := streamer.start(t)
		second.answers(t, 200, `"role": "standby"`)
		seesStandby(t, d, viewer)
		first.says(t, "it lies in the dead-letter stream")
		first.stop(t)
		second.leads(t)
		write("c")
		operators(t, d, g)
		second.leads(t) // position set takes it over, and lets it go

		createConsumerBucket(t, g.connect(t, "admin"))
		billing(t, d, g, in)
		ledger(t, g)
		courier(t, g)
		if code, out := viewer.run(t, patience, "status"); !strings.Contains(out, "leads") || code > 1 {
			t.Errorf("status: exit %d\n%s", code, out)
		}
		second.stop(t)
		g.noneDenied(t, first.text(), second.text())
	})
}

// seesStandby: status says who leads, and that the standby could take over; not once its
// account may no longer read the binlog.
func seesStandby(t *testing.T, d *database, viewer env) {
	t.Helper()
	status := ""
	eventually(t, "a standby that could take over", func() string { return status }, func() bool { // once it has looked at the source in time
		_, status = viewer.run(t, patience, "status")
		return strings.Contains(status, "leads") && strings.Contains(status, "could take over")
	})
	d.exec(t, "ALTER USER binjet@'%' ACCOUNT LOCK")
	eventually(t, "a standby that can't take over", func() string { return "" }, func() bool {
		_, out := viewer.run(t, patience, "status")
		return strings.Contains(out, "CAN'T take over: ") && strings.Contains(out, "could not take over: ")
	})
	d.exec(t, "ALTER USER binjet@'%' ACCOUNT UNLOCK")
}

// shop is a service that inserts events by its own account.
func shop(t *testing.T, d *database) func(id string) {
	t.Helper()
	out, err := producer.New(producer.Config{})
	must(t, err)
	db := testdb.Open(t, d.as("shop", leastprivilege.Password))
	return func(id string) {
		t.Helper()
		must(t, producer.InTx(t.Context(), db, nil, func(ctx context.Context, tx *sql.Tx) error {
			return out.Insert(ctx, tx, &binjet.Message{ID: id, Topic: "orders.created", Key: id, Payload: []byte("x")})
		}))
	}
}

// createConsumerBucket is what the page leaves to the admin.
func createConsumerBucket(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	_, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: binjet.ConsumerBucket, Storage: jetstream.FileStorage, LimitMarkerTTL: time.Minute})
	must(t, err)
}

// billing handles with an inbox in the database; one message dies, and is replayed.
func billing(t *testing.T, d *database, g *guarded, in *inbox.SQL) {
	t.Helper()
	db := testdb.Open(t, d.as("billing", leastprivilege.Password))
	c, err := consumer.New(g.connect(t, "billing"), consumer.Config{Name: "billing", TxInbox: in, UnmanagedDeadLetters: true})
	must(t, err)
	handled, sick := make(chan string, 10), true
	c.HandleTx("orders.created", db, func(_ context.Context, _ *sql.Tx, m *consumer.Message) error {
		if m.ID == "b" && sick {
			sick = false
			return consumer.Discard(errors.New("sick"))
		}
		handled <- m.ID
		return nil
	})
	end := runConsumer(t, c)
	expect(t, handled, "a", "c")

	dead, err := consumer.OpenDeadLetters(t.Context(), g.connect(t, "undertaker"), binjet.DefaultStream)
	must(t, err)
	var sequences []uint64
	for letter, err := range dead.List(t.Context(), consumer.Filter{By: "billing"}) {
		must(t, err)
		sequences = append(sequences, letter.Sequence)
	}
	if n, err := dead.Replay(t.Context(), sequences...); n != 1 || err != nil {
		t.Errorf("%d replayed: %v", n, err)
	}
	expect(t, handled, "b")
	eventually(t, "the replay to be gone", func() string { return "" }, func() bool {
		n, err := dead.Waiting(t.Context(), "billing")
		return err == nil && n == 0
	})
	end()
	if n, err := in.Prune(t.Context(), db, "billing", time.Nanosecond, inbox.Pace{}); err != nil || n != 3 {
		t.Errorf("%d marks pruned: %v", n, err)
	}
}

// ledger is an ordered consumer.
func ledger(t *testing.T, g *guarded) {
	t.Helper()
	c, err := consumer.New(g.connect(t, "ledger"), consumer.Config{Name: "ledger", Ordered: consumer.ByKey, UnmanagedDeadLetters: true})
	must(t, err)
	handled := make(chan string, 10)
	c.Handle("orders.created", func(_ context.Context, m *consumer.Message) error {
		if m.ID == "b" {
			return consumer.Discard(errors.New("sick"))
		}
		handled <- m.ID
		return nil
	})
	end := runConsumer(t, c)
	expect(t, handled, "a", "c")
	end()
}

// courier marks what it handles in a bucket, which the admin has made.
func courier(t *testing.T, g *guarded) {
	t.Helper()
	_, err := g.connect(t, "admin").CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "binjet-inbox-courier", Storage: jetstream.FileStorage})
	must(t, err)
	js := g.connect(t, "courier")
	in, err := inbox.NewKV(js, inbox.KVConfig{Unmanaged: true})
	must(t, err)
	c, err := consumer.New(js, consumer.Config{Name: "courier", Inbox: in, UnmanagedDeadLetters: true})
	must(t, err)
	handled := make(chan string, 10)
	c.Handle("orders.created", func(_ context.Context, m *consumer.Message) error { handled <- m.ID; return nil })
	end := runConsumer(t, c)
	expect(t, handled, "a", "b", "c")
	end()
}

func runConsumer(t *testing.T, c *consumer.Consumer) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("consumer: %v", err)
		}
	}
}

// expect takes the messages, in any order.
func expect(t *testing.T, handled <-chan string, want ...string) {
	t.Helper()
	missing := make(map[string]bool)
	for _, id := range want {
		missing[id] = true
	}
	deadline := time.After(patience)
	for len(missing) > 0 {
		select {
		case id := <-handled:
			if !missing[id] {
				t.Fatalf("%s is handled, not one of %v", id, missing)
			}
			delete(missing, id)
		case <-deadline:
			t.Fatalf("%v are not handled", missing)
		}
	}
}

// TestGrantsAreTheLeast: each variant of the streamer's account is enough where the
// page says so, and each of its statements is needed.
func TestGrantsAreTheLeast(t *testing.T) {
	t.Parallel()
	flavours(t, func(t *testing.T, flavor dbserver.Flavor) {
		d, ns := startDatabase(t, flavor), natstest.Start(t)
		root := env{"BINJET_SOURCE_DSN": d.DSN("shop"), "BINJET_NATS_URL": ns.URL()}
		root.ok(t, "init")
		variants := map[string]string{"streamer": "snapshot", "streamer, no snapshot": "earliest"}
		if flavor == dbserver.MariaDB {
			variants["streamer, MariaDB without XA"] = "snapshot"
			delete(variants, "streamer") // LOCK TABLES is for XA, which nobody has used here
		}
		for name, start := range variants {
			d.needsAll(t, name, "binjet", func(dsn string) (bool, string) {
				code, out := root.with(env{"BINJET_SOURCE_DSN": dsn, "BINJET_SOURCE_START": start}).run(t, patience, "check")
				return code == 0, out
			})
		}
		operatorsNeedAll(t, d, root)
	})
}

// TestGrantsWithoutGTIDs: positions by file take one more right.
func TestGrantsWithoutGTIDs(t *testing.T) {
	t.Parallel()
	d, ns := startDatabase(t, dbserver.MySQL, "--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"), natstest.Start(t)
	e := env{"BINJET_SOURCE_DSN": d.DSN("shop"), "BINJET_NATS_URL": ns.URL(), "BINJET_RELAY_HEARTBEAT": "200ms"}
	e.ok(t, "init")
	d.grant(t, "streamer, MySQL without GTIDs")
	e["BINJET_SOURCE_DSN"] = d.as("binjet", leastprivilege.Password)
	e.ok(t, "check")
	p := e.start(t)
	p.leads(t)
	p.stop(t)
	d.exec(t, "REVOKE REPLICATION CLIENT ON *.* FROM binjet@'%'")
	if code, out := e.run(t, patience, "check"); code != 1 || !strings.Contains(out, "REPLICATION CLIENT") {
		t.Errorf("without REPLICATION CLIENT: exit %d %s", code, out)
	}
}

// TestUsersAreConfined: what each user of the broker must not do, it can't.
func TestUsersAreConfined(t *testing.T) {
	t.Parallel()
	g := startGuarded(t)
	writes := []string{"outbox.orders.created", "binjet.checkpoint.shop", "$KV.binjet-checkpoints.shop", "$JS.API.STREAM.DELETE.OUTBOX", "$JS.API.STREAM.PURGE.OUTBOX",
		"$JS.API.STREAM.UPDATE.OUTBOX", "$JS.API.STREAM.CREATE.X", "dlq.OUTBOX.shop.x", "$JS.API.STREAM.MSG.DELETE.OUTBOX"}
	for user, not := range map[string][]string{
		"streamer": {"$JS.API.STREAM.DELETE.OUTBOX", "$JS.API.STREAM.PURGE.OUTBOX", "$JS.API.STREAM.UPDATE.OUTBOX", "binjet.checkpoint.other", "dlq.OUTBOX.billing.x",
			"$JS.API.CONSUMER.CREATE.OUTBOX.x", "$JS.API.STREAM.MSG.DELETE.OUTBOX", "_INBOX_viewer.x"},
		"rescanner":  {"$JS.API.STREAM.DELETE.OUTBOX", "$JS.API.STREAM.UPDATE.OUTBOX", "binjet.checkpoint.other", "dlq.OUTBOX.billing.x"},
		"admin":      {"outbox.orders.created", "binjet.checkpoint.other", "dlq.OUTBOX.shop.x"},
		"viewer":     writes,
		"billing":    append([]string{"$JS.API.CONSUMER.DELETE.OUTBOX.other", "$JS.API.CONSUMER.MSG.NEXT.OUTBOX.other", "dlq.OUTBOX.other.x"}, writes...),
		"ledger":     append([]string{"dlq.OUTBOX.billing.x", "$KV.binjet-consumers.OUTBOX.billing.x"}, writes...),
		"undertaker": append([]string{"dlq.OUTBOX.billing.x"}, writes...),
		"courier":    append([]string{"$JS.API.CONSUMER.DELETE.OUTBOX.other", "$JS.API.CONSUMER.MSG.NEXT.OUTBOX.billing", "dlq.OUTBOX.billing.x", "$KV.binjet-inbox-billing.x", "$KV.binjet-consumers.OUTBOX.billing.x"}, writes...),
		"bencher":    append([]string{"$JS.API.STREAM.MSG.GET.OUTBOX", "$JS.API.CONSUMER.CREATE.OUTBOX.x", "$JS.API.STREAM.DELETE.KV_binjet-checkpoints"}, writes...),
	} {
		denied := make(chan string, 100)
		nc := g.Connect(t, nats.UserInfo(user, leastprivilege.Password), nats.CustomInboxPrefix(leastprivilege.Inbox(user)),
			nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { denied <- err.Error() }))
		for _, subject := range not {
			must(t, nc.Publish(subject, nil))
			await(t, denied, fmt.Sprintf("%s publishing to %s", user, subject), `Publish to "`+subject+`"`)
		}
		for _, subject := range []string{">", "outbox.>", "_INBOX.>", "_INBOX_streamer2.>", "$JS.API.>", "binjet.status.OUTBOX.other"} {
			_, err := nc.Subscribe(subject, func(*nats.Msg) {})
			must(t, err)
			await(t, denied, fmt.Sprintf("%s subscribing to %s", user, subject), `Subscription to "`+subject+`"`)
		}
	}
}

func await(t *testing.T, denied <-chan string, what, words string) {
	t.Helper()
	select {
	case text := <-denied:
		if !strings.Contains(text, words) {
			t.Errorf("%s: %s", what, text)
		}
	case <-time.After(patience):
		t.Errorf("%s is allowed", what)
	}
}
