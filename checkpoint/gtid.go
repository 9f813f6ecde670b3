package checkpoint

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// Flavor tells the two kinds of GTID, and of server, apart.
type Flavor string

// The flavours.
const (
	MySQL   Flavor = "mysql"
	MariaDB Flavor = "mariadb"
)

// GTID names one transaction. It is comparable; the zero value names none.
//
// Where a MySQL server is read by file and position, File is set, and the name is
// where the transaction's group begins: of that server only, and in no GTID set.
type GTID struct {
	Flavor Flavor
	N      uint64 // transaction number (MySQL), sequence number (MariaDB), or offset in File
	File   string // MySQL without GTIDs: the binlog file

	UUID [16]byte // MySQL: the server of origin
	Tag  string   // MySQL 8.3 and later; usually empty

	Domain, Server uint32 // MariaDB
}

// IsZero reports whether g names no transaction.
func (g GTID) IsZero() bool { return g.Flavor == "" }

// String is the server's own notation: uuid:n, uuid:tag:n or domain-server-n; or
// file:offset.
func (g GTID) String() string { return string(g.Append(nil)) }

// Append appends what [GTID.String] returns to b.
func (g GTID) Append(b []byte) []byte {
	switch g.Flavor {
	case MySQL:
		if g.File != "" {
			b = append(b, g.File...)
		} else {
			b = appendUUID(b, g.UUID)
		}
		if g.File == "" && g.Tag != "" {
			b = append(append(b, ':'), g.Tag...)
		}
		b = append(b, ':')
	case MariaDB:
		b = append(strconv.AppendUint(b, uint64(g.Domain), 10), '-')
		b = append(strconv.AppendUint(b, uint64(g.Server), 10), '-')
	default:
		return b
	}
	return strconv.AppendUint(b, g.N, 10)
}

// ParseGTID reads what [GTID.String] writes; "" is the zero GTID.
func ParseGTID(s string) (GTID, error) {
	if s == "" {
		return GTID{}, nil
	}
	if p, err := ParseFilePosition(s); err == nil {
		return GTID{Flavor: MySQL, File: p.File, N: p.Offset}, nil
	}
	set, err := ParseGTIDSet(s)
	if err != nil {
		return GTID{}, err
	}
	if g, ok := set.single(); ok {
		return g, nil
	}
	return GTID{}, fmt.Errorf("%q names more than one transaction", s)
}

// MarshalText and UnmarshalText make a GTID a JSON string.
func (g GTID) MarshalText() ([]byte, error) { return []byte(g.String()), nil }

// UnmarshalText is [ParseGTID].
func (g *GTID) UnmarshalText(text []byte) (err error) {
	*g, err = ParseGTID(string(text))
	return err
}

func formatUUID(u [16]byte) string { return string(appendUUID(nil, u)) }

func appendUUID(to []byte, u [16]byte) []byte {
	var b [36]byte
	hex.Encode(b[0:8], u[0:4])
	hex.Encode(b[9:13], u[4:6])
	hex.Encode(b[14:18], u[6:8])
	hex.Encode(b[19:23], u[8:10])
	hex.Encode(b[24:36], u[10:16])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return append(to, b[:]...)
}

func parseUUID(s string) (u [16]byte, err error) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return u, fmt.Errorf("%q is not a UUID", s)
	}
	if _, err := hex.Decode(u[:], []byte(strings.ReplaceAll(s, "-", ""))); err != nil {
		return u, fmt.Errorf("%q is not a UUID", s)
	}
	return u, nil
}

func parseMariaDB(s string) (GTID, error) {
	parts := strings.Split(s, "-")
	if len(parts) != 3 {
		return GTID{}, fmt.Errorf("%q is neither uuid:n nor domain-server-sequence", s)
	}
	domain, err1 := strconv.ParseUint(parts[0], 10, 32)
	server, err2 := strconv.ParseUint(parts[1], 10, 32)
	n, err3 := strconv.ParseUint(parts[2], 10, 64)
	if err1 != nil || err2 != nil || err3 != nil || n == 0 {
		return GTID{}, fmt.Errorf("%q is not a MariaDB GTID (domain-server-sequence)", s)
	}
	return GTID{Flavor: MariaDB, Domain: uint32(domain), Server: uint32(server), N: n}, nil
}
