package main

import (
	"context"
	"errors"
	"net"
	"strconv"
	"syscall"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"
)

// reading is what a process that only reads the binlog, by go-mysql, is told.
type reading struct {
	Addr, Flavor, Before string
	Outbox               string // database whose outbox table is counted
	HeadersOnly          bool   // rows of other tables are not decoded
	Rows                 int    // of the outbox table, after which it ends
}

// read is what it found behind the first tenth of the rows.
type read struct {
	Rows, Events int
	Took, CPU    time.Duration
}

func runRead(r reading) (any, error) {
	gset, err := mysql.ParseGTIDSet(r.Flavor, r.Before)
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(r.Addr)
	if err != nil {
		return nil, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	cfg := replication.BinlogSyncerConfig{ServerID: 4242, Flavor: r.Flavor, Host: host, Port: uint16(n), User: "root", VerifyChecksum: true, DiscardGTIDSet: true, Logger: quiet()}
	if r.HeadersOnly {
		cfg.RowsEventDecodeFunc = func(e *replication.RowsEvent, data []byte) error {
			at, err := e.DecodeHeader(data)
			if err != nil || string(e.Table.Schema) != r.Outbox || string(e.Table.Table) != "outbox" {
				return err
			}
			return e.DecodeData(at, data)
		}
	}
	syncer := replication.NewBinlogSyncer(cfg)
	defer syncer.Close()
	streamer, err := syncer.StartSyncGTID(gset)
	if err != nil {
		return nil, err
	}
	return r.count(streamer)
}

func (r reading) count(streamer *replication.BinlogStreamer) (any, error) {
	var out read
	var begun time.Time
	var cpu time.Duration
	rows := 0
	for rows < r.Rows {
		ev, err := streamer.GetEvent(context.Background())
		if err != nil {
			return nil, err
		}
		out.Events++
		e, ok := ev.Event.(*replication.RowsEvent)
		if !ok || string(e.Table.Schema) != r.Outbox || string(e.Table.Table) != "outbox" {
			continue
		}
		rows += len(e.Rows)
		if begun.IsZero() && rows >= r.Rows/10 {
			begun, cpu, out.Events, out.Rows = time.Now(), ownCPU(), 0, rows
		}
	}
	if begun.IsZero() {
		return nil, errors.New("no rows to read")
	}
	out.Took, out.CPU, out.Rows = time.Since(begun), ownCPU()-cpu, rows-out.Rows
	return out, nil
}

// ownCPU is the processor time of this process.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
