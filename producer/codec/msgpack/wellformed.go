package msgpack

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// maxDepth bounds nesting; encoding/json has the same bound.
const maxDepth = 10_000

var (
	errTruncated = errors.New("the msgpack value is cut short")
	errMore      = errors.New("there is more behind the msgpack value")
)

// wellFormed reports why data is not exactly one msgpack value. It is asked
// before the library is, which believes the lengths in the data: five bytes that
// announce an array of 2³² elements make it allocate 64 GiB, and no recover saves
// a process from that.
func wellFormed(data []byte) error {
	var open []uint64 // how many values are still to come, for each array or map that is open
	for {
		size, children, err := head(data)
		if err != nil {
			return err
		}
		if size > uint64(len(data)) {
			return errTruncated
		}
		data = data[size:]
		if children > 0 {
			if len(open) == maxDepth {
				return fmt.Errorf("the msgpack value is nested deeper than %d", maxDepth)
			}
			open = append(open, children)
			continue
		}
		for len(open) > 0 {
			if open[len(open)-1]--; open[len(open)-1] > 0 {
				break
			}
			open = open[:len(open)-1]
		}
		if len(open) == 0 {
			if len(data) > 0 {
				return errMore
			}
			return nil
		}
	}
}

// head reads the first value's first bytes: how long it is without the values
// inside, and how many of these there are.
func head(data []byte) (size, children uint64, err error) {
	if len(data) == 0 {
		return 0, 0, errTruncated
	}
	switch b := data[0]; {
	case b <= 0x7f || b >= 0xe0: // small integers
		return 1, 0, nil
	case b <= 0x8f: // fixmap
		return 1, 2 * uint64(b&0x0f), nil
	case b <= 0x9f: // fixarray
		return 1, uint64(b & 0x0f), nil
	case b <= 0xbf: // fixstr
		return 1 + uint64(b&0x1f), 0, nil
	case b == 0xc1:
		return 0, 0, errors.New("byte 0xc1 is no msgpack value")
	case b >= 0xdc: // array 16, 32, map 16, 32
		width := 2 << ((b - 0xdc) & 1)
		n, err := length(data, width)
		if b >= 0xde {
			n *= 2
		}
		return 1 + uint64(width), n, err
	default:
		return scalar(data)
	}
}

// scalar is head for the types 0xc0 to 0xdb, which hold no other values.
func scalar(data []byte) (size, children uint64, err error) {
	b := data[0]
	width, extra := 0, 0 // of the length that is written; what comes beside it
	switch {
	case b <= 0xc3: // nil, false, true
		return 1, 0, nil
	case b <= 0xc6: // bin 8, 16, 32
		width = 1 << (b - 0xc4)
	case b <= 0xc9: // ext 8, 16, 32, with a byte for the type
		width, extra = 1<<(b-0xc7), 1
	case b <= 0xcb: // float 32, 64
		return 1 + 4<<(b-0xca), 0, nil
	case b <= 0xcf: // uint 8 to 64
		return 1 + 1<<(b-0xcc), 0, nil
	case b <= 0xd3: // int 8 to 64
		return 1 + 1<<(b-0xd0), 0, nil
	case b <= 0xd8: // fixext 1 to 16, with a byte for the type
		return 2 + 1<<(b-0xd4), 0, nil
	default: // str 8, 16, 32
		width = 1 << (b - 0xd9)
	}
	n, err := length(data, width)
	return 1 + uint64(width) + uint64(extra) + n, 0, err
}

// length reads the big-endian number of that many bytes behind the first.
func length(data []byte, width int) (uint64, error) {
	if len(data) < 1+width {
		return 0, errTruncated
	}
	switch width {
	case 1:
		return uint64(data[1]), nil
	case 2:
		return uint64(binary.BigEndian.Uint16(data[1:])), nil
	default:
		return uint64(binary.BigEndian.Uint32(data[1:])), nil
	}
}
