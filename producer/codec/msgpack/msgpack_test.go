package msgpack

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/binjet/binjet"
)

type order struct {
	ID    string    `msgpack:"id"`
	Cents int64     `msgpack:"cents"`
	Tags  []string  `msgpack:"tags"`
	At    time.Time `msgpack:"at"`
}

func TestCodec(t *testing.T) {
	var c binjet.Codec = Codec{}
	want := order{"o-1", math.MaxInt64, []string{"a", strings.Repeat("b", 70_000)}, time.Unix(1_800_000_000, 5).UTC()}
	data, err := c.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got order
	if err := c.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	got.At = got.At.UTC()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	if err := c.Unmarshal(append(data, 0xc0), &got); !errors.Is(err, errMore) {
		t.Errorf("with a byte behind it: %v", err)
	}
	for n := range data {
		if err := c.Unmarshal(data[:n], &got); !errors.Is(err, errTruncated) {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
}

// Each of these makes the library alone allocate gigabytes, or nest for seconds.
func TestHostileLengths(t *testing.T) {
	for name, data := range map[string][]byte{
		"array":   {0xdd, 0xff, 0xff, 0xff, 0xff},
		"map":     {0xdf, 0xff, 0xff, 0xff, 0xff},
		"string":  {0xdb, 0xff, 0xff, 0xff, 0xff},
		"bytes":   {0xc6, 0xff, 0xff, 0xff, 0xff},
		"ext":     {0xc9, 0xff, 0xff, 0xff, 0xff, 1},
		"nesting": bytes.Repeat([]byte{0x91}, 1<<20),
		"inner":   {0x81, 0xa1, 'a', 0xdd, 0xff, 0xff, 0xff, 0xff},
		"no type": {0xc1},
	} {
		var v any
		if err := (Codec{}).Unmarshal(data, &v); err == nil {
			t.Errorf("%s: taken as %v", name, v)
		}
	}
}

// Every first byte with its whole value is one value, and no shorter.
func TestWellFormedKnowsAllTypes(t *testing.T) {
	values := []any{nil, true, false, 5, -5, 200, -100, 40_000, -30_000, math.MaxUint32, math.MinInt32, uint64(math.MaxUint64),
		int64(math.MinInt64), float32(1), 1.5, "s", strings.Repeat("s", 40), strings.Repeat("s", 300), strings.Repeat("s", 70_000),
		[]byte("b"), make([]byte, 300), make([]byte, 70_000), []int{}, []int{1}, make([]int, 20), make([]int, 70_000),
		map[string]int{}, map[string]int{"a": 1}, time.Now(), time.Unix(1<<40, 0)}
	big, huge := map[int]int{}, map[int]int{}
	for i := range 70_000 {
		if huge[i] = i; i < 20 {
			big[i] = i
		}
	}
	for _, v := range append(values, big, huge) {
		data, err := msgpack.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if err := wellFormed(data); err != nil {
			t.Errorf("%T %#x…: %v", v, data[0], err)
		}
		if err := wellFormed(data[:len(data)-1]); !errors.Is(err, errTruncated) {
			t.Errorf("%T %#x… without its last byte: %v", v, data[0], err)
		}
		if err := wellFormed(append(data, 0)); !errors.Is(err, errMore) {
			t.Errorf("%T %#x… with another byte: %v", v, data[0], err)
		}
	}
	for b := byte(0xc7); b <= 0xc9; b++ { // ext, which the library writes for times only
		data := append([]byte{b}, make([]byte, 1<<(b-0xc7))...)
		data[len(data)-1] = 3
		if err := wellFormed(append(data, 9, 1, 2, 3)); err != nil {
			t.Errorf("%#x: %v", b, err)
		}
	}
	for b, n := byte(0xd4), 1; b <= 0xd8; b, n = b+1, 2*n {
		if err := wellFormed(append([]byte{b, 9}, make([]byte, n)...)); err != nil {
			t.Errorf("%#x: %v", b, err)
		}
	}
}

// What is well formed can be given to the library without harm.
func FuzzUnmarshal(f *testing.F) {
	for _, v := range []any{nil, order{ID: "x", At: time.Now()}, map[string]any{"a": []any{1, "b", 1.5}}} {
		data, err := msgpack.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var v any
		_ = Codec{}.Unmarshal(data, &v)
		var o order
		_ = Codec{}.Unmarshal(data, &o)
	})
}
