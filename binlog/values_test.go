package binlog

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

func TestCanonicalJSON(t *testing.T) {
	for in, want := range map[string]string{
		`{"a": 1, "b" : [ true , null ]}`: `{"a":1,"b":[true,null]}`,
		`"a b: \" \\ \u003c\u003e\u0026"`: `"a b: \" \\ <>&"`,
		`"\u2028\u00e9\ud83d\ude00"`:      "\"\u2028é😀\"",
		`"\u0001\u000a\n\u0022\u005c"`:    `"\u0001\n\n\"\\"`,
		`"\ud83d x"`:                      `"\ud83d x"`,
		`1.2345675e+06`:                   `1234567.5`,
		`1.5e-07`:                         `1.5e-7`,
		`0.00000015`:                      `1.5e-7`,
		`1.234e-5`:                        `0.00001234`,
		`100000000000000000000.0`:         `1e20`,
		`1e20`:                            `1e20`,
		`1.0`:                             `1.0`,
		`-0.0`:                            `-0.0`,
		`1.50`:                            `1.50`, // a DECIMAL
		`123456789012345678901.5`:         `123456789012345678901.5`,
		`18446744073709551615`:            `18446744073709551615`,
		`[]`:                              `[]`,
	} {
		if got := string(canonicalJSON(nil, []byte(in))); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

// FuzzCanonicalJSON: the value stays the same, and what is canonical stays as it is.
func FuzzCanonicalJSON(f *testing.F) {
	for _, s := range []string{`{"a": [1, 2.5e3, "\u003c\\\""]}`, `"\ud83d\ude00"`, `-1.5E-10`, `1e400`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var before, after any
		if json.Unmarshal([]byte(s), &before) != nil {
			return
		}
		once := canonicalJSON(nil, []byte(s))
		if err := json.Unmarshal(once, &after); err != nil || !reflect.DeepEqual(before, after) {
			t.Fatalf("%q became %q: %v", s, once, err)
		}
		if twice := canonicalJSON(nil, once); string(twice) != string(once) {
			t.Fatalf("%q became %q", once, twice)
		}
	})
}

func TestProperties(t *testing.T) {
	const quarkus = "#Wed Nov 25 10:00:00 UTC 2026\ntraceparent=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\n! more\n  tracestate : a\\=b\\:c\n"
	for in, want := range map[string][]property{
		"":               nil,
		"# nothing":      nil,
		quarkus:          {{"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}, {"tracestate", "a=b:c"}},
		"a b":            {{"a", "b"}},
		"a":              {{"a", ""}},
		"a=b=c":          {{"a", "b=c"}},
		`a\ b = c`:       {{"a b", "c"}},
		"a=b\\\n  c\n#x": {{"a", "bc"}},
		"a=b\\\\\nc=d":   {{"a", `b\`}, {"c", "d"}},
		`a=\u00e9\t\q`:   {{"a", "é\tq"}},
		`a=\ud83d\ude00`: {{"a", "😀"}},
		"a=1\nb=2\na=3":  {{"a", "3"}, {"b", "2"}},
		"a=b\\":          {{"a", "b"}},
	} {
		if got, err := properties(in); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %q, %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{`a=\u12`, `a=\u12xy`} {
		if got, err := properties(in); err == nil {
			t.Errorf("%q is read as %q", in, got)
		}
	}
}

func FuzzProperties(f *testing.F) {
	f.Add("traceparent=00-a\\\n b\\u00e9\n#c\nx y")
	f.Fuzz(func(t *testing.T, s string) {
		list, err := properties(s)
		if err != nil && list != nil {
			t.Errorf("%q: both %q and %v", s, list, err)
		}
	})
}

func TestUUIDs(t *testing.T) {
	const text = "6ccd780c-baba-1026-9564-5b8c656024db" // the one of MySQL's manual
	standard := []byte("\x6c\xcd\x78\x0c\xba\xba\x10\x26\x95\x64\x5b\x8c\x65\x60\x24\xdb")
	swapped := []byte("\x10\x26\xba\xba\x6c\xcd\x78\x0c\x95\x64\x5b\x8c\x65\x60\x24\xdb")
	for _, tt := range []struct {
		b       []byte
		swapped bool
	}{{standard, false}, {swapped, true}} {
		if got := UUIDText(tt.b, tt.swapped); got != text {
			t.Errorf("swapped %v: %s", tt.swapped, got)
		}
		if got := UUIDBytes(text, tt.swapped); string(got) != string(tt.b) {
			t.Errorf("swapped %v: %x", tt.swapped, got)
		}
	}
	if got := UUIDText([]byte("\x01\x02"), false); got != "01020000-0000-0000-0000-000000000000" {
		t.Errorf("zeros that the binlog cut are %s", got)
	}
	for _, s := range []string{"", "6ccd780cbaba102695645b8c656024db", "xccd780c-baba-1026-9564-5b8c656024db"} {
		if UUIDBytes(s, false) != nil {
			t.Errorf("%q is a UUID", s)
		}
	}
}

func TestValuesAsText(t *testing.T) {
	names := []string{"a", "b\xe9", "c"}
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.FixedZone("", 3600))
	for _, tt := range []struct {
		of      columnType
		v       any
		want    string
		problem bool
	}{
		{columnType{valueType: typeInteger}, int8(-1), "-1", false},
		{columnType{valueType: typeInteger}, uint64(1<<64 - 1), "18446744073709551615", false},
		{columnType{valueType: typeInteger}, "1", "", true},
		{columnType{valueType: typeYear}, 0, "0000", false},
		{columnType{valueType: typeBit}, int64(-1), "18446744073709551615", false},
		{columnType{valueType: typeBit}, "\x01\x02", "258", false},
		{columnType{valueType: typeDecimal}, "0000.50", "0.50", false},
		{columnType{valueType: typeFloat}, float32(1.1), "1.1", false},
		{columnType{valueType: typeFloat}, float64(float32(1.1)), "1.1", false},
		{columnType{valueType: typeDouble}, 1e300, "1e300", false},
		{columnType{typeEnum, names}, int64(1), "a", false},
		{columnType{typeEnum, names}, int64(0), "", false},
		{columnType{typeEnum, names}, int64(2), "b\xe9", true},
		{columnType{typeEnum, names}, int64(4), "", true},
		{columnType{typeSet, names}, int64(5), "a,c", false},
		{columnType{typeSet, names}, int64(8), "", true},
		{columnType{valueType: typeTimestamp}, at, "2026-01-02T02:04:05.000006Z", false},
		{columnType{valueType: typeDateTime}, "0000-00-00 00:00:00.00", "0000-00-00T00:00:00.000000", false},
		{columnType{valueType: typeTime}, "-01:02:03.5", "-01:02:03.500000", false},
		{columnType{valueType: typeDate}, "2026-01-02", "2026-01-02", false},
		{columnType{valueType: typeText}, "\xe9", "\xe9", true},
		{columnType{valueType: typeOther}, []byte("POINT"), "", true},
	} {
		got, problem := tt.of.text(tt.v, false)
		if got != tt.want || (problem != "") != tt.problem {
			t.Errorf("%+v of %v: %q, %q, want %q", tt.of, tt.v, got, problem, tt.want)
		}
	}
}
