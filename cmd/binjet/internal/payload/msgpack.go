package payload

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/vmihailenco/msgpack/v5"
)

// msgpackJSON is MessagePack as JSON: keys of maps become text, binary base64.
func msgpackJSON(data []byte) (json.RawMessage, error) {
	dec := msgpack.NewDecoder(bytes.NewReader(data))
	dec.SetMapDecoder(func(d *msgpack.Decoder) (any, error) { return d.DecodeUntypedMap() })
	value, err := dec.DecodeInterface()
	if err != nil {
		return nil, err
	}
	if _, err := dec.DecodeInterface(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more follows behind its end")
	}
	return json.Marshal(plain(value))
}

// plain makes of a decoded value one that JSON can hold.
func plain(value any) any {
	switch v := value.(type) {
	case map[any]any:
		m := make(map[string]any, len(v))
		for key, element := range v {
			m[fmt.Sprint(key)] = plain(element)
		}
		return m
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = plain(v[i])
		}
		return list
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Sprint(v)
		}
	case float32:
		if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
			return fmt.Sprint(v)
		}
	}
	return value
}
