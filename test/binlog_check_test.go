package test

import (
	"bytes"
	"strings"
	"sync"
	"testing"

	"github.com/binjet/binjet/binlog"
)

// TestAccountDroppedWhileChecked: the table could be read, and then information_schema
// does not list it. That is no fault of its name, and another attempt tells what it is.
func TestAccountDroppedWhileChecked(t *testing.T) {
	t.Parallel()
	eachFlavor(t, func(t *testing.T, s *binlogSource) {
		execSQL(t, s.db, "CREATE USER reader@'%'")
		execSQL(t, s.db, "GRANT SELECT ON shop.* TO reader@'%'")
		p := newProxy(t, s.srv.Addr())
		dropped := sync.OnceFunc(func() {
			if _, err := s.db.ExecContext(t.Context(), "DROP USER reader@'%'"); err != nil {
				t.Error(err)
			}
		})
		p.onBytes(func(sent []byte) {
			if bytes.Contains(sent, []byte("FROM information_schema.TABLES")) {
				dropped()
			}
		})
		r := s.reader(t, func(c *binlog.Config) { c.Addr, c.User, c.Password = p.addr(), "reader", "" })
		found, err := r.Check(t.Context())
		if err == nil || !strings.Contains(err.Error(), "was dropped during the check") {
			t.Errorf("found %+v, error %v", found, err)
		}
	})
}
