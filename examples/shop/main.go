// Command shop is the two services of docker-compose.yml, whose binjet stands
// between them:
//
//	shop writer     places orders, each with its event, in one transaction
//	shop consumer   writes an invoice for each order, once
//
// SHOP_DSN is the database of both, SHOP_NATS_URL the broker. SHOP_ORDERS is how
// many orders to place (default 0: until stopped), SHOP_PAUSE the time between
// two of them (default 200ms).
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	_ "github.com/go-sql-driver/mysql"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 || services()[os.Args[1]] == nil {
		log.Fatal("usage: shop writer|consumer")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, services()[os.Args[1]]); err != nil && ctx.Err() == nil {
		stop()
		log.Fatalf("%s: %v", os.Args[1], err)
	}
}

func services() map[string]func(context.Context, settings, *sql.DB) error {
	return map[string]func(context.Context, settings, *sql.DB) error{"writer": write, "consumer": consume}
}

func run(ctx context.Context, service func(context.Context, settings, *sql.DB) error) error {
	s, err := readSettings(os.Getenv)
	if err != nil {
		return err
	}
	db, err := sql.Open("mysql", s.dsn)
	if err != nil {
		return fmt.Errorf("SHOP_DSN: %w", err)
	}
	return errors.Join(service(ctx, s, db), db.Close())
}

type settings struct {
	dsn, natsURL string
	orders       int
	pause        time.Duration
}

func readSettings(getenv func(string) string) (settings, error) {
	s := settings{dsn: getenv("SHOP_DSN"), natsURL: getenv("SHOP_NATS_URL"), pause: 200 * time.Millisecond}
	if s.dsn == "" || s.natsURL == "" {
		return s, errors.New("set SHOP_DSN, such as shop:secret@tcp(127.0.0.1:3306)/shop, and SHOP_NATS_URL, such as nats://127.0.0.1:4222")
	}
	var errs [2]error
	if v := getenv("SHOP_ORDERS"); v != "" {
		s.orders, errs[0] = strconv.Atoi(v)
	}
	if v := getenv("SHOP_PAUSE"); v != "" {
		s.pause, errs[1] = time.ParseDuration(v)
	}
	return s, errors.Join(errs[:]...)
}
