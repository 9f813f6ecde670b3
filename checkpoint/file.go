package checkpoint

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// FilePosition is a place in the binlog of one MySQL server, the way to say how far
// it was read where there are no GTIDs. It means nothing on any other server. It is
// comparable; the zero value is none.
type FilePosition struct {
	File string `json:"file"`
	// Offset is in bytes. MySQL's own positions have 32 bits on the wire, and files
	// may be larger.
	Offset uint64 `json:"offset"`
	// Created is when the server began the file, in whole seconds, UTC: it tells it
	// from another one of the same name. Zero when it is not known.
	Created time.Time `json:"created,omitzero"`
}

// IsZero reports whether p is no position.
func (p FilePosition) IsZero() bool { return p.File == "" }

// String is file:offset.
func (p FilePosition) String() string {
	if p.IsZero() {
		return ""
	}
	return p.File + ":" + strconv.FormatUint(p.Offset, 10)
}

// ParseFilePosition reads file:offset. A file has a number behind its last point,
// which no notation of GTIDs has.
func ParseFilePosition(s string) (FilePosition, error) {
	colon := strings.LastIndexByte(s, ':')
	if colon < 0 {
		return FilePosition{}, fmt.Errorf("%q is not file:offset", s)
	}
	p := FilePosition{File: s[:colon]}
	var err error
	if p.Offset, err = strconv.ParseUint(s[colon+1:], 10, 63); err != nil {
		return FilePosition{}, fmt.Errorf("%q is not file:offset: the offset is no number", s)
	}
	if _, _, ok := numbered(p.File); !ok {
		return FilePosition{}, fmt.Errorf("%q is not file:offset: %q is no name of a binlog, such as binlog.000001", s, p.File)
	}
	return p, nil
}

// numbered splits the name of a binlog, name.000001.
func numbered(file string) (name string, n uint64, ok bool) {
	point := strings.LastIndexByte(file, '.')
	if point <= 0 {
		return "", 0, false
	}
	n, err := strconv.ParseUint(file[point+1:], 10, 63)
	return file[:point], n, err == nil
}

// Number is the number of the file, 0 when it has none.
func (p FilePosition) Number() uint64 {
	_, n, _ := numbered(p.File)
	return n
}

// Before reports whether p is before q in the binlog that both are of.
func (p FilePosition) Before(q FilePosition) bool {
	if p.File == q.File {
		return p.Offset < q.Offset
	}
	a, m, ok := numbered(p.File)
	b, n, ok2 := numbered(q.File)
	return ok && ok2 && a == b && m < n
}

// Where is the position as a server would say it: a GTID set, or file:offset.
func (p Position) Where() string {
	if !p.Binlog.IsZero() {
		return p.Binlog.String()
	}
	return p.Resume.String()
}

// Has reports whether p is past a transaction, by the name that it has there.
func (p Position) Has(g GTID) bool {
	if g.File == "" {
		return p.Resume.Contains(g)
	}
	return FilePosition{File: g.File, Offset: g.N}.Before(p.Binlog)
}

// Form is the version of the oldest record that can hold p. 1 knows neither a file
// position, nor transactions that are named by one, nor a [Rescan].
func (p Position) Form() int {
	files := !p.Binlog.IsZero() || p.Partial != nil && p.Partial.GTID.File != ""
	for _, last := range []*Last{p.Last, p.Read} {
		files = files || last != nil && last.GTID.File != ""
	}
	for _, x := range p.XA {
		files = files || x.GTID.File != ""
	}
	if files || p.Snapshot != nil && p.Snapshot.Rescan != nil {
		return 2
	}
	return 1
}
