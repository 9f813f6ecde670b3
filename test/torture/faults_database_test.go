package torture

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"time"
)

func (w *world) databaseKilled() (func() error, error) {
	srv := w.db.primary()
	if err := srv.Kill(); err != nil {
		return nil, err
	}
	return func() error { return srv.Restart(context.Background()) }, nil
}

func (w *world) databaseStopped() (func() error, error) {
	srv := w.db.primary()
	return srv.Resume, srv.Pause()
}

// connectionsKilled ends all but its own.
func (w *world) connectionsKilled() (func() error, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, _ = disconnect(ctx, w.db.DB, "USER IN ('root', '"+streamerUser+"', '"+handlerUser+"')") // or the database is away
	return nothing, nil
}

// disconnect ends connections one by one, and says how many there were; some are gone by
// then.
func disconnect(ctx context.Context, db *sql.DB, which string) (int, error) {
	rows, err := db.QueryContext(ctx, "SELECT ID FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID() AND "+which)
	if err != nil {
		return 0, err
	}
	var ids []int64
	for rows.Next() {
		var id int64
		if rows.Scan(&id) == nil {
			ids = append(ids, id)
		}
	}
	_ = rows.Close()
	for _, id := range ids {
		_, _ = db.ExecContext(ctx, fmt.Sprintf("KILL %d", id))
	}
	return len(ids), rows.Err()
}

func (w *world) rotated() (func() error, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, _ = w.db.ExecContext(ctx, "FLUSH BINARY LOGS")
	return nothing, nil
}

// databasePassword gives an account another password and ends its connections.
func (n *nemesis) databasePassword() (func() error, error) {
	user := []string{streamerUser, handlerUser}[n.rng.IntN(2)]
	return n.w.asOperator(fmt.Sprintf("ALTER USER %s@'%%' IDENTIFIED BY 'another'", user),
		fmt.Sprintf("ALTER USER %s@'%%' IDENTIFIED BY '%s'", user, password), user)
}

// rightRevoked: a streamer that connects meanwhile halts, and says what it lacks.
func (w *world) rightRevoked() (func() error, error) {
	w.excused = append(w.excused, regexp.MustCompile("grant REPLICATION SLAVE"))
	return w.asOperator("REVOKE REPLICATION SLAVE ON *.* FROM streamer@'%'", "GRANT REPLICATION SLAVE ON *.* TO streamer@'%'", streamerUser)
}

// asOperator runs a statement, ends a user's connections, and undoes the statement.
func (w *world) asOperator(do, undo, user string) (func() error, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if _, err := w.db.ExecContext(ctx, do); err != nil {
		return nothing, nil // the database is away: another fault's doing
	}
	_, _ = disconnect(ctx, w.db.DB, "USER = '"+user+"'")
	return func() error {
		return w.until("the database takes "+undo, time.Minute, func() bool {
			_, err := w.db.ExecContext(w.t.Context(), undo)
			return err == nil
		})
	}, nil
}
