package binjet

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"testing/quick"
	"time"
	"unicode/utf8"
)

func TestEncodeHeaders(t *testing.T) {
	for _, c := range []struct {
		name string
		h    Headers
		want string
	}{
		{"nil", nil, ""},
		{"empty", Headers{}, ""},
		{"sorted", Headers{"b": {"2"}, "a": {"1"}}, `{"a":"1","b":"2"}`},
		{"several values", Headers{"a": {"1", "2"}}, `{"a":["1","2"]}`},
		{"no value", Headers{"a": {}}, `{"a":[]}`},
		{"escapes", Headers{"a": {"\"\\\t<é>"}}, `{"a":"\"\\\u0009<é>"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := EncodeHeaders(c.h)
			if err != nil || string(got) != c.want {
				t.Fatalf("got %s, %v, want %s", got, err, c.want)
			}
			if c.want == "" && got != nil {
				t.Fatalf("no headers must be nil, which is NULL, got %q", got)
			}
		})
	}
	if got, err := EncodeHeaders(Headers{"a": {"\xff"}}); err == nil {
		t.Fatalf("JSON can't hold a value that is not UTF-8, got %s", got)
	}
}

func TestDecodeHeaders(t *testing.T) {
	for in, want := range map[string]Headers{
		"":                                 nil,
		"null":                             nil,
		" null\n":                          nil,
		"{}":                               {},
		`{"a":"1","b":["2","3"]}`:          {"a": {"1"}, "b": {"2", "3"}},
		" {\t\"a\" : \r\n[ \"1\" ] } ":     {"a": {"1"}},
		`{"a":"\u00e9\t\"\\"}`:             {"a": {"é\t\"\\"}},
		`{"\u0061":""}`:                    {"a": {""}},
		`{"Nats-TTL":"30s"}`:               {"Nats-TTL": {"30s"}},
		`{"Outbox-Deliver-At":"2026"}`:     {"Outbox-Deliver-At": {"2026"}},
		`{"a":"1","A":"2"}`:                {"a": {"1"}, "A": {"2"}},
		`{"traceparent":"00-ab-cd-01"}`:    {"traceparent": {"00-ab-cd-01"}},
		`{"!#$%&'*+-.^_|~` + "`" + `":""}`: {"!#$%&'*+-.^_|~`": {""}},
	} {
		got, err := DecodeHeaders([]byte(in))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, %v, want %v", in, got, err, want)
		}
	}
}

func TestDecodeHeadersRefuses(t *testing.T) {
	for in, want := range map[string]string{
		`[]`:                        "not a JSON object",
		`"a"`:                       "not a JSON object",
		`{`:                         "not a JSON object",
		`{"a"`:                      "not a JSON object",
		`{"a":`:                     "not a JSON object",
		`{"a":"1"`:                  "not a JSON object",
		`{"a":"1",}`:                "not a JSON object",
		`{"a":"1"}}`:                "not a JSON object",
		`{"a":"1"} null`:            "not a JSON object",
		`{"a" "1"}`:                 "not a JSON object",
		`{"a":["1" "2"]}`:           "not a JSON object",
		`{"a":["1",]}`:              "not a JSON object",
		`{"a":1}`:                   `header "a"`,
		`{"a":null}`:                `header "a"`,
		`{"a":[null]}`:              `header "a"`,
		`{"a":{"b":"c"}}`:           `header "a"`,
		`{"a":"\q"}`:                `header "a"`,
		"{\"a\":\"\t\"}":            `header "a"`,
		"nullnull":                  "not a JSON object",
		"{\"a\":\"\xff\"}":          "UTF-8",
		`{"a":"1","a":"2"}`:         "twice",
		`{"a":"1","\u0061":"2"}`:    "twice",
		`{"a":[]}`:                  "no value",
		`{"":"1"}`:                  "no name",
		`{"a b":"1"}`:               "header name",
		`{"a:":"1"}`:                "header name",
		`{"a/b":"1"}`:               "header name",
		`{"é":"1"}`:                 "header name",
		`{"a":"x\r\ny"}`:            "line break",
		`{"a":["1","\u0000"]}`:      "NUL",
		`{"a":" x"}`:                "white space",
		`{"Nats-Msg-Id":"x"}`:       "reserved",
		`{"nats-ttl":"1s"}`:         "reserved",
		`{"OUTBOX-ID":"x"}`:         "reserved",
		`{"Outbox-Id":"x","a":" "}`: `white space, which the broker would drop; header "Outbox-Id" is reserved`,
	} {
		got, err := DecodeHeaders([]byte(in))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, %v, want an error with %q", in, got, err, want)
		}
	}
}

func TestRowHeaders(t *testing.T) {
	m := Message{
		Headers:     Headers{"x": {"1", "2"}},
		ContentType: "application/json",
		ExpireAfter: 90 * time.Minute,
		DeliverAt:   time.Date(2026, 1, 2, 3, 4, 5, 678901999, time.FixedZone("", 3600)),
	}
	const want = `{"x":["1","2"],"Content-Type":"application/json","Nats-TTL":"5400s","Outbox-Deliver-At":"2026-01-02T02:04:05.678901Z"}`
	got := m.AppendRowHeaders([]byte("front"))
	if string(got) != "front"+want {
		t.Fatalf("got %s", got)
	}
	if h, err := DecodeHeaders([]byte(want)); err != nil || len(h) != 4 || h.Get(HeaderTTL) != "5400s" {
		t.Fatalf("a row's own headers must decode: %v, %v", h, err)
	}
	if got := new(Message).AppendRowHeaders(nil); got != nil {
		t.Fatalf("no headers are NULL, got %s", got)
	}
	if got := (&Message{ContentType: "a"}).AppendRowHeaders(nil); string(got) != `{"Content-Type":"a"}` {
		t.Fatalf("got %s", got)
	}
}

func TestHeadersMethods(t *testing.T) {
	h := Headers{"b": {"1", "2"}, "empty": nil}
	h.Set("a", "3")
	if h.Get("a") != "3" || h.Get("b") != "1" || h.Get("empty") != "" || h.Get("none") != "" {
		t.Fatalf("got %v", h)
	}
	if got := strings.Join(h.Keys(), " "); got != "a b empty" {
		t.Fatalf("keys %q", got)
	}
	c := h.Clone()
	c["b"][0] = "changed"
	if h.Get("b") != "1" {
		t.Fatal("a clone shares values")
	}
	if Headers(nil).Clone() != nil {
		t.Fatal("the clone of nil is nil")
	}
}

func TestReservedHeader(t *testing.T) {
	for name, want := range map[string]bool{
		"Nats-TTL": true, "nats-x": true, "NATS-": true, "Outbox-Id": true, "oUTBOX-": true,
		"Nats": false, "Natsy-X": false, "X-Nats-TTL": false, "Outbox": false, "": false, "Content-Type": false,
	} {
		if got := ReservedHeader(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

// Any strings that are headers at all come back as they were.
func TestHeadersRoundTrip(t *testing.T) {
	check := func(values []string) bool {
		h := Headers{"x": nil}
		for _, v := range values {
			h["x"] = append(h["x"], strings.TrimSpace(strings.NewReplacer("\r", "", "\n", "", "\x00", "").Replace(v)))
		}
		if len(values) == 0 {
			h.Set("x", "")
		}
		column, err := EncodeHeaders(h)
		if err != nil {
			return false
		}
		got, err := DecodeHeaders(column)
		return err == nil && reflect.DeepEqual(got, h) && json.Valid(column)
	}
	if err := quick.Check(check, nil); err != nil {
		t.Fatal(err)
	}
}

// FuzzDecodeHeaders holds the scanner to encoding/json: what either takes, the
// other takes for the same headers.
func FuzzDecodeHeaders(f *testing.F) {
	for _, seed := range []string{
		"", "null", "{}", `{"a":"1"}`, `{"a":["1","2"],"b":""}`, `{"a":"\ud83d\ude00é"}`, `{"a":1}`, `{"a":"1","a":"2"}`, `{"a":[0],"a":""}`, ` { "a" : [ ] } `, `{"\u0061":"\`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, column []byte) {
		checkDecoded(t, column)
		if !utf8.Valid(column) || len(column) == 0 {
			return // never reaches the scanner
		}
		got, err := decodeObject(column)
		want, wantErr := decodeWithStdlib(column)
		switch {
		case err != nil && wantErr != nil:
		case err != nil || wantErr != nil:
			t.Fatalf("%q: %v, %v, encoding/json: %v, %v", column, got, err, want, wantErr)
		case len(got) != len(want) || len(got) > 0 && !reflect.DeepEqual(got, want):
			t.Fatalf("%q: read as %v, encoding/json reads %v", column, got, want)
		}
	})
}

func checkDecoded(t *testing.T, column []byte) {
	h, err := DecodeHeaders(column)
	if err != nil {
		return
	}
	again, err := EncodeHeaders(h)
	if err != nil {
		t.Fatalf("%q: decoded to %v, which does not encode: %v", column, h, err)
	}
	if back, err := DecodeHeaders(again); err != nil || len(h) > 0 && !reflect.DeepEqual(h, back) {
		t.Fatalf("%q: %v came back as %v, %v", column, h, back, err)
	}
}

// decodeWithStdlib goes from member to member, because a map would keep the last of
// two that have the same name.
func decodeWithStdlib(column []byte) (Headers, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(column, &object); err != nil || object == nil {
		return nil, err
	}
	h := make(Headers, len(object))
	members := json.NewDecoder(bytes.NewReader(column))
	if _, err := members.Token(); err != nil {
		return nil, err
	}
	for members.More() {
		name, err := members.Token()
		if err != nil {
			return nil, err
		}
		var value any
		if err := members.Decode(&value); err != nil {
			return nil, err
		}
		if _, twice := h[name.(string)]; twice {
			return nil, errNotHeaders
		}
		if h[name.(string)], err = headerValues(value); err != nil {
			return nil, err
		}
	}
	return h, nil
}

func headerValues(value any) (values []string, err error) {
	list, ok := value.([]any)
	if !ok {
		list = []any{value}
	}
	for _, one := range list {
		s, ok := one.(string)
		if !ok {
			return nil, errNotHeaders
		}
		values = append(values, s)
	}
	return values, nil
}

func BenchmarkDecodeHeaders(b *testing.B) {
	column := []byte(`{"Content-Type":"application/json","traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeHeaders(column); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkValidate(b *testing.B) {
	m := Message{
		ID: "0190b6f0-1c1d-7000-8000-000000000000", Topic: "orders.created", Key: "order-4711", Payload: make([]byte, 256),
		ContentType: "application/json", Headers: Headers{"traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}},
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := m.Validate(0); err != nil {
			b.Fatal(err)
		}
	}
}
