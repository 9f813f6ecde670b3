package binjet

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func valid() Message {
	return Message{Topic: "orders.created", Payload: []byte("{}")}
}

func TestValidateAccepts(t *testing.T) {
	for name, change := range map[string]func(*Message){
		"the least":            func(*Message) {},
		"the longest":          func(m *Message) { m.ID, m.Key = strings.Repeat("~", 64), strings.Repeat("é", 255) },
		"key with inner space": func(m *Message) { m.Key = "a b\tc" },
		"longest topic":        func(m *Message) { m.Topic = strings.Repeat("a", 255) },
		"expiry":               func(m *Message) { m.ExpireAfter = time.Second },
		"delivery":             func(m *Message) { m.DeliverAt = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC) },
		"past delivery":        func(m *Message) { m.DeliverAt = time.Unix(0, 0) },
		"both":                 func(m *Message) { m.ExpireAfter, m.DeliverAt = time.Second, time.Now().Add(time.Hour) },
		"both, in order": func(m *Message) {
			m.CreatedAt = time.Unix(100, 0)
			m.ExpireAfter, m.DeliverAt = 2*time.Second, time.Unix(101, 0)
		},
		"headers":      func(m *Message) { m.Headers = Headers{"X-Y": {"", "é"}, "traceparent": {"00-a-b-01"}} },
		"content type": func(m *Message) { m.Headers = Headers{"Content-Type": {"a/b"}} },
		"full":         func(m *Message) { m.Payload = make([]byte, DefaultMaxBytes) },
	} {
		m := valid()
		change(&m)
		if err := m.Validate(0); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestValidateRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Message)
		want   string
	}{
		"long ID":           {func(m *Message) { m.ID = strings.Repeat("a", 65) }, "ID is 65 bytes, more than 64"},
		"ID with space":     {func(m *Message) { m.ID = "a b" }, "white space"},
		"ID beyond ASCII":   {func(m *Message) { m.ID = "é" }, "non-ASCII"},
		"no topic":          {func(m *Message) { m.Topic = "" }, "topic is empty"},
		"wildcard":          {func(m *Message) { m.Topic = "a.*" }, "wildcard"},
		"broken key":        {func(m *Message) { m.Key = "\xff" }, "key is not valid UTF-8"},
		"long key":          {func(m *Message) { m.Key = strings.Repeat("é", 256) }, "key is 256 characters"},
		"key of two lines":  {func(m *Message) { m.Key = "a\nb" }, "line break"},
		"padded key":        {func(m *Message) { m.Key = "a " }, "white space"},
		"short expiry":      {func(m *Message) { m.ExpireAfter = time.Millisecond }, "less than a second"},
		"negative expiry":   {func(m *Message) { m.ExpireAfter = -time.Hour }, "less than a second"},
		"fraction":          {func(m *Message) { m.ExpireAfter = 1500 * time.Millisecond }, "whole number of seconds"},
		"too late":          {func(m *Message) { m.DeliverAt = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }, "year 10000"},
		"dead on arrival":   {expiresFirst, "expire before DeliverAt"},
		"no payload":        {func(m *Message) { m.Payload = []byte{} }, "payload is empty"},
		"long payload":      {func(m *Message) { m.Payload = make([]byte, DefaultMaxBytes+1) }, "983041 bytes, more than the 983040"},
		"content type":      {func(m *Message) { m.ContentType = "a\r\nb" }, `"Content-Type" holds a line break`},
		"two content types": {func(m *Message) { m.ContentType, m.Headers = "a/b", Headers{"content-type": {"a/b"}} }, "beside ContentType"},
		"reserved":          {func(m *Message) { m.Headers = Headers{"Nats-TTL": {"1s"}} }, `"Nats-TTL" is reserved`},
		"header name":       {func(m *Message) { m.Headers = Headers{"a(b)": {"1"}} }, "header name"},
		"no header name":    {func(m *Message) { m.Headers = Headers{"": {"1"}} }, "no name"},
		"no header value":   {func(m *Message) { m.Headers = Headers{"a": nil} }, "no value"},
		"broken header":     {func(m *Message) { m.Headers = Headers{"a": {"ok", "\xff"}} }, "UTF-8"},
	} {
		m := valid()
		c.change(&m)
		err := m.Validate(0)
		var fault *ValidationError
		if !errors.As(err, &fault) || !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		} else if len(fault.Faults) != 1 {
			t.Errorf("%s: one fault makes %d: %q", name, len(fault.Faults), fault.Faults)
		}
	}
}

func expiresFirst(m *Message) {
	m.CreatedAt = time.Unix(100, 0)
	m.ExpireAfter, m.DeliverAt = 2*time.Second, time.Unix(102, 0)
}

func TestValidateReportsAllFaults(t *testing.T) {
	m := Message{ID: "a b", Topic: "a..b", Key: " ", ExpireAfter: 1, Headers: Headers{"Nats-B": {"1"}, "Nats-A": {"1"}}}
	err := m.Validate(10)
	var fault *ValidationError
	if !errors.As(err, &fault) || len(fault.Faults) != 8 {
		t.Fatalf("want 8 faults, got %v", err)
	}
	if got := err.Error(); !strings.HasPrefix(got, `message "a b" on topic "a..b": `) || strings.Index(got, "Nats-A") > strings.Index(got, "Nats-B") {
		t.Fatalf("got %s", got)
	}
}

// What Validate counts is what the row's headers take on the stream.
func TestValidateCountsAllHeaders(t *testing.T) {
	m := valid()
	m.ContentType, m.Headers = "application/json", Headers{"a": {"1", "23"}}
	want := len(m.Payload) + len("a: 1\r\na: 23\r\nContent-Type: application/json\r\n")
	if err := m.Validate(want); err != nil {
		t.Fatal(err)
	}
	if err := m.Validate(want - 1); err == nil {
		t.Fatal("accepted a byte more than allowed")
	}
	m.ExpireAfter, m.DeliverAt = time.Second, time.Now()
	if err := m.Validate(want + 40); err == nil {
		t.Fatal("expiry and delivery are headers too")
	}
}

func TestErrorsAreClipped(t *testing.T) {
	m := Message{Topic: strings.Repeat("x", 1<<20), Headers: Headers{strings.Repeat("Nats-", 1<<18): {"1"}}}
	if err := m.Validate(0); err == nil || len(err.Error()) > 2000 {
		t.Fatalf("an error of %d bytes does not fit a log", len(err.Error()))
	}
}

func TestCheckRow(t *testing.T) {
	ok := Message{ID: "1", Topic: "a"}
	if err := ok.CheckRow(); err != nil {
		t.Fatalf("a row may be empty and of any size: %v", err)
	}
	bad := Message{Topic: ">", Key: "a\n"}
	var fault *ValidationError
	if err := bad.CheckRow(); !errors.As(err, &fault) || len(fault.Faults) != 3 {
		t.Fatalf("want 3 faults, got %v", err)
	}
}
