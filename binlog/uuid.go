package binlog

import "encoding/hex"

// uuidLength is that of a UUID in bytes, in a BINARY(16) column.
const uuidLength = 16

// UUIDText is the canonical text of a UUID: 8-4-4-4-12 lower-case digits. swapped
// says that b is what MySQL's UUID_TO_BIN(x, 1) makes: the time's high and middle
// part stand before its low part. b may lack zeros at its end, as the binlog does.
func UUIDText(b []byte, swapped bool) string {
	var u [uuidLength]byte
	copy(u[:], b)
	if swapped {
		u = unswapUUID(u)
	}
	var text [36]byte
	hex.Encode(text[:], u[:4])
	text[8] = '-'
	hex.Encode(text[9:], u[4:6])
	text[13] = '-'
	hex.Encode(text[14:], u[6:8])
	text[18] = '-'
	hex.Encode(text[19:], u[8:10])
	text[23] = '-'
	hex.Encode(text[24:], u[10:])
	return string(text[:])
}

// UUIDBytes is the inverse of UUIDText, for text that it made; nil for other text.
func UUIDBytes(text string, swapped bool) []byte {
	if len(text) != 36 {
		return nil
	}
	digits := text[:8] + text[9:13] + text[14:18] + text[19:23] + text[24:]
	var u [uuidLength]byte
	if _, err := hex.Decode(u[:], []byte(digits)); err != nil {
		return nil
	}
	if swapped {
		u = swapUUID(u)
	}
	return u[:]
}

// swapUUID is UUID_TO_BIN's second form of u: hhhh mmmm llllllll.
func swapUUID(u [uuidLength]byte) (s [uuidLength]byte) {
	s = u
	copy(s[:], u[6:8])
	copy(s[2:], u[4:6])
	copy(s[4:], u[:4])
	return s
}

func unswapUUID(s [uuidLength]byte) (u [uuidLength]byte) {
	u = s
	copy(u[:], s[4:8])
	copy(u[4:], s[2:4])
	copy(u[6:], s[:2])
	return u
}
