package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/spf13/cobra"

	"github.com/binjet/binjet"
	"github.com/binjet/binjet/binlog"
	"github.com/binjet/binjet/cmd/binjet/internal/config"
	"github.com/binjet/binjet/cmd/binjet/internal/verify"
)

func newVerify(p process) *cobra.Command {
	var since, until string
	var vc verify.Config
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Compare the rows of the outbox tables with the events of the stream",
		Long: `Compare the rows of the outbox tables with the events of the stream, and list rows that the
stream lacks (missing), events that no row is of (extra), IDs that the stream has twice
(repeated), events out of commit order (disorder), and what is no event (foreign).

It only reads: the tables page by page, the headers of the stream, and the binlog of what
the relay has still to publish. It may run while everything is in use. Of many millions of
events it reads both several times, so that memory stays bounded: --since makes it shorter.

What can't be known is counted by itself: events whose rows are pruned (older than every
row there is), rows whose events expired, or that the stream's limits may have let go.
Where rows are deleted by something else than their age, give --rows-deleted.

The exit code is 1 when there are findings.`,
		Example: "  binjet verify\n  binjet verify --since 24h\n  binjet verify --since 2026-01-31T12:00:00Z --until 2026-01-31T13:00:00Z -o json",
		Args:    noArguments,
		RunE: visiting(p, true, func(v *visit, _ []string) error {
			var err error
			if vc.Since, err = moment(since, time.Now()); err != nil {
				return fmt.Errorf("--since: %w", err)
			}
			if vc.Until, err = moment(until, time.Now()); err != nil {
				return fmt.Errorf("--until: %w", err)
			}
			return v.verify(vc)
		}),
	}
	addSettings(cmd)
	cmd.Flags().StringVar(&since, "since", "", "rows created since then: 24h ago, or 2026-01-31T12:00:00Z; default: all")
	cmd.Flags().StringVar(&until, "until", "", "rows created before then; default: now")
	cmd.Flags().DurationVar(&vc.Wait, "wait", 10*time.Second, "how long to wait for a relay that is behind")
	cmd.Flags().BoolVar(&vc.RowsDeleted, "rows-deleted", false, "rows are deleted in any order, so an event without a row is no finding")
	cmd.Flags().IntVar(&vc.Most, "limit", 1000, "list so many findings; all are counted")
	cmd.Flags().IntVar(&vc.Window, "window", 500_000, "IDs that are held in memory at a time, some 160 bytes each")
	return cmd
}

func (v *visit) verify(vc verify.Config) error {
	reader, err := v.reader()
	if err != nil {
		return failed(err)
	}
	db, err := v.readOnlyDatabase()
	if err != nil {
		return failed(err)
	}
	defer db.Close()
	nc, _, err := v.broker()
	if err != nil {
		return failed(err)
	}
	defer nc.Close()
	columns := v.cfg.Source.Columns
	vc.Source, vc.Stream, vc.SubjectPrefix = v.cfg.Source.Name, v.cfg.Stream.Name, v.cfg.Stream.SubjectPrefix
	vc.Conn, vc.Reader, vc.Dated = nc, reader, columns.CreatedAt != binlog.NoColumn
	if !vc.Dated && !(vc.Since.IsZero() && vc.Until.IsZero()) {
		return errors.New("the tables have no creation time (source.columns.created_at is -), so there is no range of time")
	}
	for _, name := range v.cfg.Source.Tables {
		t, err := newOutboxTable(v.ctx, db, name, v.cfg.Source)
		if err != nil {
			return failed(err)
		}
		vc.Tables = append(vc.Tables, t)
	}
	vc.Progress = v.say
	report, err := verify.Run(v.ctx, vc)
	if err != nil {
		return failed(natsError(nc, err))
	}
	if err := emit(v.cmd, report, report.Text); err != nil {
		return err
	}
	if !report.OK {
		return toldFailure(errors.New("stream and tables differ"))
	}
	return nil
}

// readOnlyDatabase connects for statements that change nothing, in UTC.
func (v *visit) readOnlyDatabase() (*sql.DB, error) {
	d := v.cfg.Database
	c := mysql.NewConfig()
	c.Net, c.Addr, c.User, c.Passwd, c.DBName, c.TLS = d.Net, d.Addr, d.User, string(d.Password), d.Name, d.TLS
	c.Timeout, c.ReadTimeout = askTimeout, 5*time.Minute
	c.Params = map[string]string{"time_zone": "'+00:00'", "transaction_read_only": "1"}
	c.Logger = &mysql.NopLogger{} // what it logs it returns too
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	ctx, cancel := context.WithTimeout(v.ctx, askTimeout)
	defer cancel()
	if err := db.PingContext(ctx); err != nil {
		_ = db.Close()
		return nil, advise(fmt.Errorf("connect to the source at %s as %q: %w", d.Addr, d.User, described(err)), databaseNextStep(err))
	}
	return db, nil
}

// outboxTable reads one table for verify.
type outboxTable struct {
	db      *sql.DB
	name    string
	quoted  string
	columns binlog.Columns
	// binary: the ID is a UUID in a BINARY(16) column, swapped as source.binary_uuid says.
	binary, swapped bool
}

func newOutboxTable(ctx context.Context, db *sql.DB, name string, s config.Source) (*outboxTable, error) {
	quoted, err := binjet.QuoteTable(name)
	if err != nil {
		return nil, err
	}
	t := &outboxTable{db: db, name: name, quoted: quoted, columns: binlog.Columns(s.Columns), swapped: s.BinaryUUID == binlog.UUIDSwapped}
	found, err := db.QueryContext(ctx, "SELECT "+column(t.columns.ID)+" FROM "+quoted+" LIMIT 0")
	if err != nil {
		return nil, fmt.Errorf("look at table %s: %w", name, err)
	}
	defer found.Close()
	types, err := found.ColumnTypes()
	if err != nil {
		return nil, fmt.Errorf("look at table %s: %w", name, err)
	}
	t.binary = types[0].DatabaseTypeName() == "BINARY"
	return t, found.Err()
}

// key is an ID as the table holds it, and text as the stream does.
func (t *outboxTable) key(id string) any {
	if t.binary {
		return binlog.UUIDBytes(id, t.swapped)
	}
	return id
}

func (t *outboxTable) text(id string) string {
	if t.binary {
		return binlog.UUIDText([]byte(id), t.swapped)
	}
	return id
}

// Name is the table's, as it is configured.
func (t *outboxTable) Name() string { return t.name }

func column(name string) string { return "`" + name + "`" }

// created is the creation time in seconds, with microseconds.
func (t *outboxTable) created() string {
	if t.columns.CreatedAt == binlog.NoColumn {
		return "NULL"
	}
	return "UNIX_TIMESTAMP(" + column(t.columns.CreatedAt) + ")"
}

const sqlTime = "2006-01-02 15:04:05.000000"

// Page reads along the primary key.
func (t *outboxTable) Page(ctx context.Context, after string, since, until time.Time, n int) ([]verify.Row, error) {
	id := column(t.columns.ID)
	var where []string
	var args []any
	if after != "" {
		where, args = append(where, id+" > ?"), append(args, t.key(after))
	}
	if t.columns.CreatedAt != binlog.NoColumn {
		at := column(t.columns.CreatedAt)
		where, args = append(where, at+" < ?"), append(args, until.UTC().Format(sqlTime))
		if !since.IsZero() {
			where, args = append(where, at+" >= ?"), append(args, since.UTC().Format(sqlTime))
		}
	}
	query := "SELECT " + id + ", " + t.created() + ", NULL FROM " + t.quoted
	if len(where) > 0 {
		query += " WHERE " + strings.Join(where, " AND ")
	}
	return t.rows(ctx, fmt.Sprintf("%s ORDER BY %s LIMIT %d", query, id, n), args...)
}

// Rows reads some rows, with what their headers say of an expiry.
func (t *outboxTable) Rows(ctx context.Context, ids []string) ([]verify.Row, error) {
	headers := "NULL"
	if t.columns.Headers != binlog.NoColumn {
		headers = column(t.columns.Headers)
	}
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = t.key(id)
	}
	marks := strings.TrimSuffix(strings.Repeat("?,", len(ids)), ",")
	id := column(t.columns.ID)
	return t.rows(ctx, "SELECT "+id+", "+t.created()+", "+headers+" FROM "+t.quoted+" WHERE "+id+" IN ("+marks+")", args...)
}

func (t *outboxTable) rows(ctx context.Context, query string, args ...any) ([]verify.Row, error) {
	found, err := t.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	var list []verify.Row
	for found.Next() {
		var row verify.Row
		var seconds sql.NullFloat64
		var headers []byte
		if err := found.Scan(&row.ID, &seconds, &headers); err != nil {
			return nil, err
		}
		row.ID = t.text(row.ID)
		if seconds.Valid {
			row.Created = time.UnixMicro(int64(seconds.Float64*1e6 + 0.5)).UTC()
		}
		row.Expires = expiry(row.Created, headers)
		list = append(list, row)
	}
	return list, found.Err()
}

// expiry is when the broker lets an event go by itself, at the earliest: it counts from
// when it is published.
func expiry(created time.Time, headers []byte) time.Time {
	h, err := binjet.DecodeHeaders(headers)
	if err != nil || created.IsZero() {
		return time.Time{}
	}
	d, err := time.ParseDuration(h.Get(binjet.HeaderTTL))
	if err != nil {
		if d, err = time.ParseDuration(h.Get(binjet.HeaderTTL) + "s"); err != nil {
			return time.Time{}
		}
	}
	return created.Add(d)
}
