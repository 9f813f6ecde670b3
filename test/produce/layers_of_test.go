package produce

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/jmoiron/sqlx"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/mysqldialect"
	gormmysql "gorm.io/driver/mysql"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/binjet/binjet/examples/layers/buntx"
	"github.com/binjet/binjet/examples/layers/enttx"
	"github.com/binjet/binjet/examples/layers/enttx/ent"
	"github.com/binjet/binjet/examples/layers/gormtx"
	"github.com/binjet/binjet/examples/layers/shop"
	"github.com/binjet/binjet/examples/layers/sqltx"
	"github.com/binjet/binjet/examples/layers/sqlxtx"
	"github.com/binjet/binjet/producer"
)

func layers() map[string]func(t *testing.T, db *sql.DB) layer {
	return map[string]func(t *testing.T, db *sql.DB) layer{
		"sql":              sqlLayer,
		"sql by hand":      sqlByHandLayer,
		"sql.Conn":         connLayer,
		"sqlx":             sqlxLayer,
		"gorm":             func(t *testing.T, db *sql.DB) layer { return gormLayer(t, db, gorm.Config{}) },
		"gorm PrepareStmt": func(t *testing.T, db *sql.DB) layer { return gormLayer(t, db, gorm.Config{PrepareStmt: true}) },
		"gorm hook":        gormHookLayer,
		"bun":              func(t *testing.T, db *sql.DB) layer { return bunLayer(db, false) },
		"bun tx.Tx":        func(t *testing.T, db *sql.DB) layer { return bunLayer(db, true) },
		"ent":              entLayer,
		"ent over sql.Tx":  entOverLayer,
	}
}

const insertOrder = "INSERT INTO orders (id, total) VALUES (?, ?)"

func orderBy(ctx context.Context, tx producer.Execer) order {
	return func(id string) error {
		_, err := tx.ExecContext(ctx, insertOrder, id, 12)
		return err
	}
}

func sqlLayer(_ *testing.T, db *sql.DB) layer {
	return layer{
		place: func(ctx context.Context, placed *shop.Placed, o shop.Order) error {
			return sqltx.Place(ctx, db, placed, o)
		},
		inTx: func(ctx context.Context, fn func(tx handle, place order) error) error {
			return producer.InTx(ctx, db, nil, func(ctx context.Context, tx *sql.Tx) error { return fn(tx, orderBy(ctx, tx)) })
		},
		nested: func(ctx context.Context, outer, inner func(tx handle) error) error {
			return producer.InTx(ctx, db, nil, func(ctx context.Context, tx *sql.Tx) error {
				_, errSave := tx.ExecContext(ctx, "SAVEPOINT s")
				errInner := inner(tx)
				_, errBack := tx.ExecContext(ctx, "ROLLBACK TO s")
				if errInner == nil {
					return errors.New("the inner one did not fail")
				}
				return errors.Join(errSave, errBack, outer(tx))
			})
		},
		pool: db,
	}
}

func sqlByHandLayer(_ *testing.T, db *sql.DB) layer {
	return layer{
		place: func(ctx context.Context, placed *shop.Placed, o shop.Order) error {
			return sqltx.PlaceByHand(ctx, db, placed, o)
		},
		inTx: func(ctx context.Context, fn func(tx handle, place order) error) error {
			tx, err := db.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			defer func() { _ = tx.Rollback() }()
			if err := fn(tx, orderBy(ctx, tx)); err != nil {
				return err
			}
			return tx.Commit()
		},
		pool: db,
	}
}

func connLayer(_ *testing.T, db *sql.DB) layer {
	return layer{
		place: func(ctx context.Context, placed *shop.Placed, o shop.Order) error {
			return sqltx.PlaceOnConn(ctx, db, placed, o)
		},
		inTx: func(ctx context.Context, fn func(tx handle, place order) error) (err error) {
			conn, err := db.Conn(ctx)
			if err != nil {
				return err
			}
			end := "ROLLBACK"
			defer func() {
				_, errEnd := conn.ExecContext(ctx, end)
				err = errors.Join(err, errEnd, conn.Close())
			}()
			if _, err := conn.ExecContext(ctx, "BEGIN"); err != nil {
				return err
			}
			if err := fn(conn, orderBy(ctx, conn)); err != nil {
				return err
			}
			end = "COMMIT"
			return nil
		},
		pool: db,
	}
}

func sqlxLayer(_ *testing.T, sqlDB *sql.DB) layer {
	db := sqlx.NewDb(sqlDB, "mysql")
	return layer{
		place: func(ctx context.Context, placed *shop.Placed, o shop.Order) error {
			return sqlxtx.Place(ctx, db, placed, o)
		},
		inTx: func(ctx context.Context, fn func(tx handle, place order) error) error {
			tx, err := db.BeginTxx(ctx, nil)
			if err != nil {
				return err
			}
			defer func() { _ = tx.Rollback() }()
			place := func(id string) error {
				_, err := tx.NamedExecContext(ctx, "INSERT INTO orders (id, total) VALUES (:id, :total)", shop.Order{ID: id, Total: 12})
				return err
			}
			if err := fn(tx, place); err != nil {
				return err
			}
			return tx.Commit()
		},
		pool: db,
	}
}

func gormOpen(t *testing.T, db *sql.DB, cfg gorm.Config) *gorm.DB {
	t.Helper()
	cfg.Logger = logger.Discard
	g, err := gorm.Open(gormmysql.New(gormmysql.Config{Conn: db}), &cfg)
	must(t, err)
	return g
}

func gormLayer(t *testing.T, db *sql.DB, cfg gorm.Config) layer {
	g := gormOpen(t, db, cfg)
	return layer{
		place: func(ctx context.Context, placed *shop.Placed, o shop.Order) error {
			return gormtx.Place(ctx, g, placed, o)
		},
		inTx: func(ctx context.Context, fn func(tx handle, place order) error) error {
			return g.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
				place := func(id string) error { return tx.Table("orders").Create(&shop.Order{ID: id, Total: 12}).Error }
				return fn(tx.Statement.ConnPool, place)
			})
		},
		nested: func(ctx context.Context, outer, inner func(tx handle) error) error {
			return g.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
				if err := tx.Transaction(func(tx *gorm.DB) error { return inner(tx.Statement.ConnPool) }); err == nil {
					return errors.New("the inner one did not fail")
				}
				return outer(tx.Statement.ConnPool)
			})
		},
		pool: g.Statement.ConnPool,
	}
}

// gormHookLayer inserts the event in the hook of a model.
func gormHookLayer(t *testing.T, db *sql.DB) layer {
	l := gormLayer(t, db, gorm.Config{PrepareStmt: true})
	g := gormOpen(t, db, gorm.Config{PrepareStmt: true})
	l.place = func(ctx context.Context, placed *shop.Placed, o shop.Order) error {
		return g.WithContext(ctx).Create(&gormtx.Order{ID: o.ID, Total: o.Total, Placed: placed}).Error
	}
	return l
}

// bunLayer gives Insert bun's transaction, or the *sql.Tx below it.
func bunLayer(sqlDB *sql.DB, below bool) layer {
	db := bun.NewDB(sqlDB, mysqldialect.New())
	of := func(tx bun.Tx) handle {
		if below {
			return tx.Tx
		}
		return tx
	}
	return layer{
		place: func(ctx context.Context, placed *shop.Placed, o shop.Order) error {
			return buntx.Place(ctx, db, placed, o)
		},
		inTx: func(ctx context.Context, fn func(tx handle, place order) error) error {
			return db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
				place := func(id string) error {
					_, err := tx.NewRaw(insertOrder, id, 12).Exec(ctx)
					return err
				}
				return fn(of(tx), place)
			})
		},
		nested: func(ctx context.Context, outer, inner func(tx handle) error) error {
			return db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
				if err := tx.RunInTx(ctx, nil, func(_ context.Context, tx bun.Tx) error { return inner(of(tx)) }); err == nil {
					return errors.New("the inner one did not fail")
				}
				return outer(of(tx))
			})
		},
		pool: db,
	}
}

func entLayer(_ *testing.T, db *sql.DB) layer {
	client := ent.NewClient(ent.Driver(entsql.OpenDB(dialect.MySQL, db)))
	return layer{
		place: func(ctx context.Context, placed *shop.Placed, o shop.Order) error {
			return enttx.Place(ctx, client, placed, o)
		},
		inTx: func(ctx context.Context, fn func(tx handle, place order) error) error {
			tx, err := client.Tx(ctx)
			if err != nil {
				return err
			}
			defer func() { _ = tx.Rollback() }()
			place := func(id string) error { return tx.Order.Create().SetID(id).SetTotal(12).Exec(ctx) }
			if err := fn(tx, place); err != nil {
				return err
			}
			return tx.Commit()
		},
		pool: client,
	}
}

func entOverLayer(_ *testing.T, db *sql.DB) layer {
	return layer{
		place: func(ctx context.Context, placed *shop.Placed, o shop.Order) error {
			return enttx.PlaceOver(ctx, db, placed, o)
		},
		inTx: func(ctx context.Context, fn func(tx handle, place order) error) error {
			return producer.InTx(ctx, db, nil, func(ctx context.Context, tx *sql.Tx) error {
				place := func(id string) error { return enttx.Over(tx).Order.Create().SetID(id).SetTotal(12).Exec(ctx) }
				return fn(tx, place)
			})
		},
		pool: db,
	}
}
