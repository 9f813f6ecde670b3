package dbserver

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// postgresGreeting logs in as postgres and gives the server's version. Nothing
// short of a whole log-in says that a server is ready: while it recovers, it
// answers, and turns everybody away.
func postgresGreeting(rw io.ReadWriter) (string, error) {
	if _, err := rw.Write(postgresStartup("user", "postgres", "database", "postgres")); err != nil {
		return "", err
	}
	version := ""
	for {
		kind, body, err := postgresMessage(rw)
		if err != nil {
			return "", fmt.Errorf("read greeting: %w", err)
		}
		switch kind {
		case 'E':
			return "", fmt.Errorf("the server refuses: %s", strings.ReplaceAll(string(body), "\x00", " "))
		case 'R':
			if !bytes.Equal(body, make([]byte, 4)) {
				return "", errors.New("the server asks for a password")
			}
		case 'S':
			if v, ok := bytes.CutPrefix(body, []byte("server_version\x00")); ok {
				version = strings.TrimRight(string(v), "\x00")
			}
		case 'Z': // ready for a query
			_, err := rw.Write([]byte{'X', 0, 0, 0, 4})
			return version, err
		}
	}
}

func postgresStartup(params ...string) []byte {
	const protocol = 3 << 16
	body := binary.BigEndian.AppendUint32(nil, protocol)
	for _, p := range params {
		body = append(append(body, p...), 0)
	}
	body = append(body, 0)
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body)+4)), body...)
}

// postgresMessage reads a kind, a length that counts itself, and a body.
func postgresMessage(r io.Reader) (kind byte, body []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n < 4 || n > 65536 {
		return 0, nil, fmt.Errorf("%d bytes: not a PostgreSQL server", n)
	}
	body = make([]byte, n-4)
	_, err = io.ReadFull(r, body)
	return head[0], body, err
}
