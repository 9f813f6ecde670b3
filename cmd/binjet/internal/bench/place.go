package bench

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/checkpoint/store"
	"github.com/binjet/binjet/relay"
)

// clearTimeout bounds the taking away.
const clearTimeout = 30 * time.Second

// place is what was made: only that is taken away.
type place struct {
	*run
	js            jetstream.JetStream
	stream        jetstream.Stream
	table, copies bool
}

func (p *place) make(ctx context.Context) (err error) {
	if err := relay.CheckServer(p.Conn); err != nil {
		return err
	}
	if p.js, err = jetstream.New(p.Conn); err != nil {
		return err
	}
	if err := p.noCopies(ctx); err != nil {
		return err
	}
	if err := p.makeStream(ctx); err != nil {
		return err
	}
	p.copies = true
	return p.makeTable(ctx)
}

// taken is the error for a name that is in use, with what removes it.
func taken(what, remove string) error {
	return fmt.Errorf("%s exists already, so nothing was measured: another bench may be running; one that was killed left it, and then: %s", what, remove)
}

// noCopies refuses where an older run left copies of its checkpoint: the relay would
// take the new stream for one that lost its events.
func (p *place) noCopies(ctx context.Context) error {
	for _, source := range []string{Source, Engine} {
		bucket, err := store.OpenCopies(ctx, p.js, source)
		if errors.Is(err, store.ErrNoBucket) {
			return nil
		}
		if err != nil {
			return err
		}
		list, err := bucket.List(ctx)
		if err != nil {
			return err
		}
		if len(list) > 0 {
			return taken("key "+source+" of bucket "+binjet.CheckpointBucket, removeCopies(source))
		}
	}
	return nil
}

func (p *place) makeStream(ctx context.Context) error {
	token := make([]byte, 8)
	_, _ = rand.Read(token)
	cfg := jetstream.StreamConfig{
		Name: Stream, Description: "binjet bench: throw-away", Storage: jetstream.FileStorage, Replicas: max(p.Replicas, 1),
		Subjects:  []string{Prefix + ".>", binjet.CheckpointSubject(Source), binjet.CheckpointSubject(Engine)},
		Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardOld,
		AllowDirect: true, AllowRollup: true, AllowMsgTTL: true, AllowAtomicPublish: true,
		// Without it the broker would take a stream of another run for the one that is asked for.
		Metadata: map[string]string{"binjet.bench": hex.EncodeToString(token), binjet.MetadataPartitions: "0"},
	}
	switch like, err := p.js.Stream(ctx, p.Like); {
	case err == nil:
		have := like.CachedInfo().Config
		cfg.Replicas, cfg.Placement, cfg.Compression = have.Replicas, have.Placement, have.Compression
	case !errors.Is(err, jetstream.ErrStreamNotFound):
		return fmt.Errorf("look up stream %s, to make one like it: %w", p.Like, err)
	}
	stream, err := p.js.CreateStream(ctx, cfg)
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return taken("stream "+Stream, removeStream)
	}
	if err != nil {
		return fmt.Errorf("create stream %s: %w", Stream, err)
	}
	p.stream = stream
	p.report.Settings.Replicas, p.report.Settings.Broker = cfg.Replicas, p.Conn.ConnectedServerVersion()
	return nil
}

func (p *place) makeTable(ctx context.Context) error {
	name := p.Schema + "." + Table
	quoted, err := binjet.QuoteTable(name)
	if err != nil {
		return err
	}
	var found int
	if err := p.DB.QueryRowContext(ctx, "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA=? AND TABLE_NAME=?", p.Schema, Table).Scan(&found); err != nil {
		return fmt.Errorf("look up table %s: %w", name, err)
	}
	if found > 0 {
		return taken("table "+name, "DROP TABLE "+quoted)
	}
	statement, err := binjet.OutboxSQL(name)
	if err != nil {
		return err
	}
	if _, err := p.DB.ExecContext(ctx, statement); err != nil {
		return fmt.Errorf("create table %s: %w", name, err)
	}
	p.table = true
	if err := p.DB.QueryRowContext(ctx, "SELECT VERSION()").Scan(&p.report.Settings.Database); err != nil {
		return fmt.Errorf("ask the database for its version: %w", err)
	}
	return nil
}

// empty makes room for the next part.
func (p *place) empty(ctx context.Context) error {
	if err := p.stream.Purge(ctx, jetstream.WithPurgeSubject(Prefix+".>")); err != nil {
		return fmt.Errorf("purge stream %s: %w", Stream, err)
	}
	return nil
}

// What removes by hand what could not be removed.
const removeStream = "nats stream rm -f " + Stream

func removeCopies(source string) string {
	return "nats kv purge -f " + binjet.CheckpointBucket + " " + source
}

// clear takes everything away, and says how to where it can't.
func (p *place) clear(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, clearTimeout)
	defer cancel()
	var faults []error
	left := func(what, remove string, err error) {
		if err != nil {
			faults = append(faults, fmt.Errorf("%s was made for this and could not be taken away: %w\n  next: %s", what, err, remove))
		}
	}
	if p.table {
		quoted, err := binjet.QuoteTable(p.Schema + "." + Table)
		if err == nil {
			_, err = p.DB.ExecContext(ctx, "DROP TABLE "+quoted)
		}
		left("table "+p.Schema+"."+Table, "DROP TABLE "+quoted, err)
	}
	if p.stream != nil {
		left("stream "+Stream, removeStream, p.js.DeleteStream(ctx, Stream))
	}
	if p.copies {
		for _, source := range []string{Source, Engine} {
			left("key "+source+" of bucket "+binjet.CheckpointBucket, removeCopies(source), p.purgeCopies(ctx, source))
		}
	}
	return errors.Join(faults...)
}

// purgeCopies leaves the key alone where no relay has written it.
func (p *place) purgeCopies(ctx context.Context, source string) error {
	kv, err := p.js.KeyValue(ctx, binjet.CheckpointBucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	history, err := kv.History(ctx, source)
	if errors.Is(err, jetstream.ErrKeyNotFound) && ctx.Err() == nil || err == nil && len(history) == 0 {
		return nil
	}
	return errors.Join(err, kv.Purge(ctx, source))
}
