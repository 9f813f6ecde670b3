package producertest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/producer"
	"github.com/binjet/binjet/producer/codec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type paid struct {
	Total int `json:"total"`
}

// failed is a test that notes why it failed, and goes on.
type failed struct {
	*testing.T
	why []string
}

func (f *failed) Fatalf(format string, args ...any) {
	f.why = append(f.why, fmt.Sprintf(format, args...))
}

func newProducer(t *testing.T, cfg producer.Config) *producer.Producer {
	t.Helper()
	p, err := producer.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func insert(t *testing.T, tx producer.Execer, cfg producer.Config, msgs ...*binjet.Message) {
	t.Helper()
	if err := newProducer(t, cfg).Insert(t.Context(), tx, msgs...); err != nil {
		t.Fatal(err)
	}
}

func full() *binjet.Message {
	return &binjet.Message{
		ID: "1", Topic: "orders.paid", Key: "4711", ContentType: "application/json", Payload: []byte(`{"total": 12}`),
		Headers: binjet.Headers{"x": {"y"}}, ExpireAfter: time.Hour, DeliverAt: time.Unix(1e9, 0).UTC(),
	}
}

func TestMatchers(t *testing.T) {
	db := NewDB(t)
	insert(t, db, producer.Config{}, full(), &binjet.Message{ID: "2", Topic: "other", Payload: []byte("2")})
	for name, c := range map[string]struct {
		yes, no Matcher
		says    string // what a failure by no says
	}{
		"ID":           {ID("1"), ID("3"), `has ID "3"`},
		"topic":        {Topic("orders.paid"), Topic("orders"), `topic is "other"`},
		"key":          {Key("4711"), Key("4712"), `key is "4711"`},
		"no key":       {Key(""), Key("x"), `key is ""`},
		"content type": {ContentType("application/json"), ContentType("a/b"), `content type is "application/json"`},
		"header":       {Header("x", "y"), Header("x", "z"), `header x is "y"`},
		"payload":      {Payload([]byte("2")), Payload([]byte("3")), `payload is "2"`},
		"value":        {Value(codec.JSON{}, paid{12}), Value(codec.JSON{}, paid{13}), "value is {Total:12}"},
		"other value":  {Value(codec.JSON{}, &paid{12}), Value(codec.JSON{}, "a"), `payload "2" is no string in application/json: `},
		"value func": {ValueFunc(codec.JSON{}, func(p *paid) bool { return p.Total == 12 }),
			ValueFunc(codec.JSON{}, func(p paid) bool { return false }), "value is {Total:12}"},
		"where": {Where("that expires", func(m *binjet.Message) bool { return m.ExpireAfter == time.Hour }),
			Where("that never is", func(*binjet.Message) bool { return false }), "not that never is"},
	} {
		t.Run(name, func(t *testing.T) {
			found := RequireInserted(t, db, c.yes)
			if found == nil || found.ID == "" {
				t.Errorf("got %v", found)
			}
			RequireNotInserted(t, db, c.no)
			f := &failed{T: t}
			if RequireInserted(f, db, c.no) != nil || len(f.why) != 1 || !strings.Contains(f.why[0], c.says) {
				t.Errorf("got %q, want %q", f.why, c.says)
			}
			f = &failed{T: t}
			if RequireNotInserted(f, db, c.yes); len(f.why) != 1 || !strings.Contains(f.why[0], "1 messages in outbox have ") {
				t.Errorf("got %q", f.why)
			}
		})
	}
}

func TestFailures(t *testing.T) {
	db := NewDB(t)
	why := func(matchers ...Matcher) string {
		f := &failed{T: t}
		RequireInserted(f, db, matchers...)
		return strings.Join(f.why, "; ")
	}
	if got := why(Topic("a"), Key("k")); got != `no message in outbox has topic "a", key "k"; it is empty` {
		t.Errorf("got %s", got)
	}
	for i := range 12 {
		insert(t, db, producer.Config{}, &binjet.Message{ID: fmt.Sprintf("%02d", i), Topic: "a", Payload: []byte("1")})
	}
	if got := why(); !strings.HasPrefix(got, "12 messages in outbox have any content, want one:\n\tmessage \"00\" on topic \"a\", key \"\"") || !strings.HasSuffix(got, "\n\t…") {
		t.Errorf("got %s", got)
	}
	if got := why(Topic("b")); !strings.Contains(got, "the last 10 messages there are:") || strings.Count(got, "\n") != 10 {
		t.Errorf("got %s", got)
	}
	for _, table := range []string{"a`b", "a.b.c"} {
		if got := why(Table(table)); !strings.Contains(got, "producertest: table ") {
			t.Errorf("got %s", got)
		}
	}
	db.Fail("SELECT", errors.New("no"))
	for _, f := range []func(t TB){
		func(t TB) { RequireInserted(t, db) }, func(t TB) { RequireNotInserted(t, db) }, func(t TB) { Inserted(t, db) },
	} {
		ft := &failed{T: t}
		if f(ft); len(ft.why) != 1 || ft.why[0] != "producertest: read `outbox`: no" {
			t.Errorf("got %q", ft.why)
		}
	}
}

func TestWhatIsInsertedIsFound(t *testing.T) {
	db := NewDB(t)
	no := errors.New("no")
	err := producer.InTx(t.Context(), db, nil, func(ctx context.Context, tx *sql.Tx) error {
		insert(t, tx, producer.Config{}, full())
		m := RequireInserted(t, tx, Topic("orders.paid"), Key("4711"))
		if want := full(); m.ExpireAfter != want.ExpireAfter || !m.DeliverAt.Equal(want.DeliverAt) || len(m.Headers) != 1 {
			t.Errorf("got %+v", m)
		}
		RequireNotInserted(t, db, Topic("orders.paid")) // another connection does not see it
		return no
	})
	if !errors.Is(err, no) {
		t.Fatal(err)
	}
	RequireNotInserted(t, db)
}

func TestTables(t *testing.T) {
	db := NewDB(t)
	insert(t, db, producer.Config{}, &binjet.Message{ID: "1", Topic: "a", Payload: []byte("1")})
	insert(t, db, producer.Config{Table: "shop.events"}, &binjet.Message{ID: "1", Topic: "b", Payload: []byte("1")}, &binjet.Message{ID: "0", Topic: "b", Payload: []byte("1")})
	if got := Inserted(t, db, Table("shop.events")); len(got) != 2 || got[0].ID != "0" || got[0].Topic != "b" {
		t.Errorf("got %v", got)
	}
	RequireInserted(t, db, ID("1"), Topic("a"))
}
