package bench

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/binjet/binjet/relay"
)

// Names of what is made. Whatever has one of them already is left alone, and nothing is measured.
const (
	Table  = "binjet_bench"
	Stream = "BINJET_BENCH"
	Prefix = "binjet_bench"
	// Source and Engine are the sources whose checkpoints the stream holds: the table,
	// and a relay without a database.
	Source = "binjet_bench"
	Engine = "binjet_bench_engine"

	rawSubject = Prefix + ".raw"
	topic      = "bench"
)

// Config of a run. DB, Schema, Conn and Reader are required.
type Config struct {
	// DB is the source, by an account that may create, drop and insert into the table.
	DB *sql.DB
	// Schema is the database that the table is made in.
	Schema string
	// Conn to the broker.
	Conn *nats.Conn
	// Reader returns what reads [Table], and begins with the latest transaction.
	Reader func() (relay.Source, error)
	// Like is the stream whose replicas, placement and compression are those of the
	// stream that is made. Where it does not exist, Replicas says.
	Like     string
	Replicas int
	// CommitTimeout is the relay's.
	CommitTimeout time.Duration

	// Writers commit at a time.
	Writers int
	// Rate is in commits per second, while latency is measured.
	Rate float64
	// Size of a payload in bytes.
	Size int
	// Rows is how many a backlog has at least.
	Rows int
	// Duration of each part that goes by time.
	Duration time.Duration

	// Progress says what is going on.
	Progress func(format string, args ...any)
}

// Validate says what of the numbers can't be, all faults at once.
func (c Config) Validate() error {
	var faults []error
	bad := func(is bool, format string, args ...any) {
		if is {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	bad(c.Writers < 1 || c.Writers > 256, "--writers %d is not 1 to 256", c.Writers)
	bad(c.Rate <= 0 || c.Rate > 1e5, "--rate %g is not above 0 and up to 100000", c.Rate)
	bad(c.Size < 1 || c.Size > 512<<10, "--size %d is not 1 to 524288 bytes", c.Size)
	bad(c.Rows < 100 || c.Rows > 1e7, "--rows %d is not 100 to 10000000", c.Rows)
	bad(c.Duration < 100*time.Millisecond || c.Duration > 10*time.Minute, "--duration %s is not 100ms to 10m", c.Duration)
	return errors.Join(faults...)
}

// run is one.
type run struct {
	Config
	payload []byte
	report  *Report
}

// Run measures, and takes away what it made, also when ctx ends or something fails.
func Run(ctx context.Context, cfg Config) (report *Report, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	b := &run{Config: cfg, payload: payloadOf(cfg.Size), report: &Report{At: time.Now().UTC(),
		Settings: Settings{Writers: cfg.Writers, Rate: cfg.Rate, Size: cfg.Size, Rows: cfg.Rows, Seconds: cfg.Duration.Seconds()}}}
	place := &place{run: b}
	defer func() { err = errors.Join(err, place.clear(context.WithoutCancel(ctx))) }()
	if err := place.make(ctx); err != nil {
		return nil, err
	}
	if err := b.measure(ctx, place); err != nil {
		return nil, err
	}
	b.report.conclude()
	return b.report, nil
}

func (b *run) measure(ctx context.Context, p *place) error {
	reader, err := b.Reader()
	if err != nil {
		return err
	}
	begin, err := reader.Begin(ctx)
	if err != nil {
		return fmt.Errorf("find the end of the binlog: %w", err)
	}
	if err := b.database(ctx); err != nil {
		return err
	}
	if err := b.read(ctx, reader, begin); err != nil {
		return err
	}
	for _, part := range []func(context.Context) error{b.sync, b.async, b.engine} {
		if err := part(ctx); err != nil {
			return err
		}
		if err := p.empty(ctx); err != nil {
			return err
		}
	}
	return b.endToEnd(ctx, reader, begin)
}

// payloadOf is text that compression does not make nothing of.
func payloadOf(size int) []byte {
	p := make([]byte, size)
	x := uint32(2463534242)
	for i := range p {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		p[i] = ' ' + byte(x%95)
	}
	return p
}
