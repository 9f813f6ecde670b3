package main

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"log"
	"os"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	_ "github.com/go-sql-driver/mysql"

	"github.com/binjet/binjet/internal/dbserver"
)

func main() {
	rounds := flag.Int("rounds", 8, "turns of each kind")
	turn := flag.Duration("turn", 400*time.Millisecond, "length of a turn")
	clients := flag.Int("clients", 8, "transactions at a time")
	only := flag.String("server", "", "mysql or mariadb alone")
	flag.Parse()
	for _, flavor := range []dbserver.Flavor{dbserver.MySQL, dbserver.MariaDB} {
		if *only != "" && *only != string(flavor) {
			continue
		}
		if err := measure(context.Background(), flavor, *rounds, *turn, *clients); err != nil {
			log.Fatalf("%s: %v", flavor, err)
		}
	}
}

// passes is how often bytes are counted. The least counts: InnoDB writes its log for
// other reasons, too, and most in the first minute of a server.
const passes = 5

func measure(ctx context.Context, flavor dbserver.Flavor, rounds int, turn time.Duration, clients int) error {
	args := []string{"--innodb-flush-method=fsync"}
	if flavor == dbserver.MariaDB {
		args = append(args, "--plugin-load-add=ha_blackhole")
	}
	srv, err := dbserver.Start(ctx, dbserver.Options{Flavor: flavor, Durable: true, Args: args})
	if err != nil {
		return err
	}
	defer srv.Close()
	w, err := newWorld(ctx, srv)
	if err != nil {
		return err
	}
	defer w.db.Close()
	kinds, err := w.kinds(ctx)
	if err != nil {
		return err
	}
	for range passes {
		for _, k := range kinds {
			if err := w.bytes(ctx, k); err != nil {
				return fmt.Errorf("%s: %w", k.name, err)
			}
		}
	}
	pruned, err := w.pruneBytes(ctx)
	if err != nil {
		return err
	}
	for range rounds {
		for _, k := range kinds {
			if err := k.turn(ctx, turn, clients); err != nil {
				return fmt.Errorf("%s: %w", k.name, err)
			}
		}
	}
	return report(srv, kinds, pruned)
}

func report(srv *dbserver.Server, kinds []*kind, pruned string) error {
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(out, "%s %s\tredo B/tx\tbinlog B/tx\ttx/s\tp50 ms\tp99 ms\t\n", srv.Flavor(), srv.Version())
	for _, k := range kinds {
		slices.Sort(k.took)
		at := func(share float64) float64 {
			return float64(k.took[int(share*float64(len(k.took)-1))].Microseconds()) / 1000
		}
		fmt.Fprintf(out, "%s\t%d\t%d\t%.0f\t%.2f\t%.2f\t\n", k.name, k.redo, k.binlog, float64(len(k.took))/k.busy.Seconds(), at(.5), at(.99))
	}
	if err := out.Flush(); err != nil {
		return err
	}
	_, err := fmt.Println(pruned)
	return err
}

// kind is a way to treat rows, and what was measured of it.
type kind struct {
	name    string
	insert  func(ctx context.Context, tx *sql.Tx) error
	beside  func(ctx context.Context) error // runs during a turn
	db      *sql.DB
	redo    uint64
	binlog  uint64
	took    []time.Duration
	busy    time.Duration
	collect sync.Mutex
}

// once is the transaction of a service: a row of its own, and its event.
func (k *kind) once(ctx context.Context) error {
	tx, err := k.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO orders (note) VALUES ('an order')"); err != nil {
		return err
	}
	if err := k.insert(ctx, tx); err != nil {
		return err
	}
	return tx.Commit()
}

func (k *kind) turn(ctx context.Context, length time.Duration, clients int) error {
	side, stop := context.WithCancel(ctx)
	defer stop()
	var besides sync.WaitGroup
	errs := make(chan error, clients+1)
	if k.beside != nil {
		besides.Go(func() { errs <- k.beside(side) })
	}
	begun := time.Now()
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			var took []time.Duration
			for time.Since(begun) < length {
				at := time.Now()
				if err := k.once(ctx); err != nil {
					errs <- err
					return
				}
				took = append(took, time.Since(at))
			}
			k.collect.Lock()
			defer k.collect.Unlock()
			k.took = append(k.took, took...)
			errs <- nil
		})
	}
	all.Wait()
	k.busy += time.Since(begun)
	stop()
	besides.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
