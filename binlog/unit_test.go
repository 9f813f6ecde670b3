package binlog

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/binjet/binjet/checkpoint"
)

func TestConfigReportsEveryFault(t *testing.T) {
	_, err := New(Config{Addr: "nowhere", Tables: []string{"a.b.c", "x", "s.t", "s.t"}, Start: "soon", Flavor: "oracle",
		ReadTimeout: time.Second, Columns: Columns{ID: NoColumn, Key: "payload"}})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"Addr", "User", "a.b.c", `"x"`, "s.t stands twice", "Start", "oracle", "ReadTimeout", "Columns.ID", "Columns.Key and Columns.Payload"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no word of %s in:\n%v", want, err)
		}
	}
}

func TestConfigDefaults(t *testing.T) {
	r, err := New(Config{Addr: "/tmp/m.sock", User: "u", Database: "shop", Tables: []string{"outbox"}})
	if err != nil {
		t.Fatal(err)
	}
	c := r.cfg
	if c.Start != StartSnapshot || c.ServerID < 1<<31 || c.ReadTimeout != 6*time.Second || c.Columns.Key != "message_key" {
		t.Errorf("%+v", c)
	}
}

func set(t *testing.T, s string) checkpoint.GTIDSet {
	t.Helper()
	g, err := checkpoint.ParseGTIDSet(s)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestVerifyPosition(t *testing.T) {
	const a, b = "00000000-0000-0000-0000-00000000000a", "00000000-0000-0000-0000-00000000000b"
	my := &Server{Flavor: checkpoint.MySQL, UUID: a, Executed: set(t, a+":1-10,"+b+":1-3"), Purged: set(t, a+":1-5")}
	off := &Server{Flavor: checkpoint.MySQL, UUID: a, variables: map[string]string{"gtid_mode": "ON_PERMISSIVE"}}
	file := checkpoint.FilePosition{File: "binlog.000001", Offset: 4}
	maria := &Server{Flavor: checkpoint.MariaDB}
	if err := (*states)(&maria.states).UnmarshalText([]byte("0-1-10,0-2-12,5-1-3")); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		srv  *Server
		pos  checkpoint.Position
		want error
	}{
		"whole":              {my, checkpoint.Position{Resume: set(t, a+":1-10,"+b+":1-3"), ServerUUID: a}, nil},
		"behind":             {my, checkpoint.Position{Resume: set(t, a+":1-5"), ServerUUID: a}, nil},
		"other server":       {my, checkpoint.Position{Resume: set(t, a+":1-7"), ServerUUID: b}, nil},
		"purged":             {my, checkpoint.Position{Resume: set(t, a+":1-4"), ServerUUID: a}, ErrPurged},
		"empty":              {my, checkpoint.Position{}, ErrPurged},
		"ahead":              {my, checkpoint.Position{Resume: set(t, a+":1-11"), ServerUUID: a}, ErrForeign},
		"other history":      {my, checkpoint.Position{Resume: set(t, "00000000-0000-0000-0000-00000000000c:1"), ServerUUID: b}, ErrForeign},
		"partial is unknown": {my, checkpoint.Position{Resume: set(t, a+":1-7"), Partial: &checkpoint.Partial{GTID: gtidOf(t, b+":4")}}, ErrForeign},
		"other flavour":      {my, checkpoint.Position{Resume: set(t, "0-1-5")}, ErrForeign},
		"flavour of nothing": {my, checkpoint.Position{Flavor: checkpoint.MariaDB}, ErrForeign},
		"unread":             {my, checkpoint.Position{Snapshot: &checkpoint.Snapshot{}}, nil},
		"snapshot at purged": {my, checkpoint.Position{Snapshot: &checkpoint.Snapshot{Begun: true}, Resume: set(t, a+":1-4")}, ErrPurged},
		"file":               {off, checkpoint.Position{Binlog: file, ServerUUID: a}, nil},
		"file, GTIDs on":     {my, checkpoint.Position{Binlog: file, ServerUUID: a}, nil},
		"file of another":    {off, checkpoint.Position{Binlog: file, ServerUUID: b}, ErrForeign},
		"file on MariaDB":    {maria, checkpoint.Position{Flavor: checkpoint.MySQL, Binlog: file, ServerUUID: a}, ErrForeign},
		"GTIDs off":          {off, checkpoint.Position{Resume: set(t, a+":1"), ServerUUID: a}, ErrGTIDMode},
		"GTIDs off, nothing": {off, checkpoint.Position{Flavor: checkpoint.MySQL, ServerUUID: a}, ErrGTIDMode},
		"GTIDs off, unread":  {off, checkpoint.Position{Snapshot: &checkpoint.Snapshot{}}, nil},
		"mariadb":            {maria, checkpoint.Position{Resume: set(t, "0-1-10,5-1-3")}, nil},
		"mariadb fail-over":  {maria, checkpoint.Position{Resume: set(t, "0-2-11")}, nil},
		"mariadb ahead":      {maria, checkpoint.Position{Resume: set(t, "0-1-11")}, ErrForeign},
		"mariadb new domain": {maria, checkpoint.Position{Resume: set(t, "0-1-1,7-1-1")}, ErrForeign},
		"mariadb begins":     {maria, checkpoint.Position{}, nil},
	}
	r, err := New(Config{Addr: "a:1", User: "u", Tables: []string{"s.t"}, FailoverWait: -1})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range tests {
		err := r.verify(tt.srv, tt.pos)
		if tt.want == nil && err != nil || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}

func TestOwned(t *testing.T) {
	const a, b = "00000000-0000-0000-0000-00000000000A", "00000000-0000-0000-0000-00000000000b"
	for owned, want := range map[string]string{"": "", a + ":5#34": a + ":5", b + ":7#1": "",
		a + ":5#34:6#35:app:1#9,\n" + b + ":7#1," + a + ":9#2": a + ":5-6:9:app:1"} {
		if got, err := ownOf(strings.ToLower(a), owned); err != nil || !got.Equal(set(t, want)) {
			t.Errorf("%q is read as %s, %v", owned, got, err)
		}
	}
	if _, err := ownOf(a, a+":0#4"); err == nil {
		t.Error("what is none is read")
	}
}

func gtidOf(t *testing.T, s string) checkpoint.GTID {
	t.Helper()
	g, err := checkpoint.ParseGTID(s)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestDumpErrors(t *testing.T) {
	s := &stream{}
	for text, want := range map[string]error{
		"Cannot replicate because the source purged required binary logs.":                                                                                  ErrPurged,
		"Could not find GTID state requested by slave in any binlog files. Probably the slave state is too old and required binlog files have been purged.": ErrPurged,
		"Error: connecting slave requested to start from GTID 0-1-999, which is not in the master's binlog":                                                 ErrForeign,
		"Slave has more GTIDs than the master has, using the master's SERVER_UUID.":                                                                         ErrForeign,
		"Cannot replicate anonymous transaction when @@GLOBAL.GTID_MODE = ON, at file ./binlog.000001, position 158.; the first event":                      ErrGTIDMode,
		"Cannot replicate anonymous transaction when AUTO_POSITION = 1, at file ./binlog.000001, position 158.":                                             ErrGTIDMode,
		"Cannot replicate GTID-transaction when @@GLOBAL.GTID_MODE = OFF, at file ./binlog.000006, position 158.; the first event 'binlog":                  ErrGTIDMode,
		"Client requested source to start replication from position > file size":                                                                            ErrForeign,
	} {
		if err := s.dumpError(&mysql.MyError{Code: 1236, Message: text}); !errors.Is(err, want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	var h *checkpoint.HaltError
	if err := s.dumpError(&mysql.MyError{Code: 1236, Message: "A slave with the same server_uuid/server_id as this slave has connected"}); errors.As(err, &h) {
		t.Errorf("halts: %v", err)
	}
	if err := s.dumpError(&mysql.MyError{Code: 1236, Message: "something new"}); !errors.As(err, &h) {
		t.Errorf("does not halt: %v", err)
	}
	if err := s.dumpError(&mysql.MyError{Code: 1045}); errors.As(err, &h) {
		t.Errorf("halts: %v", err)
	}
}

func TestGrants(t *testing.T) {
	shop := table{"shop", "outbox"}
	tests := []struct {
		lines     string
		privilege string
		on        table
		want      bool
	}{
		{"GRANT REPLICATION SLAVE ON *.* TO `u`@`%`", "REPLICATION SLAVE", table{}, true},
		{"GRANT SELECT, REPLICATION SLAVE ON *.* TO `u`@`%` WITH GRANT OPTION", "REPLICATION SLAVE", table{}, true},
		{"GRANT ALL PRIVILEGES ON *.* TO 'u'@'%' IDENTIFIED BY PASSWORD '*X'", "REPLICATION SLAVE", table{}, true},
		{"GRANT ALL PRIVILEGES ON `shop`.* TO 'u'@'%'", "REPLICATION SLAVE", table{}, false},
		{"GRANT USAGE ON *.* TO `u`@`%`\nGRANT `repl`@`%` TO `u`@`%`", "REPLICATION SLAVE", table{}, false},
		{"GRANT ALL PRIVILEGES ON `shop`.* TO 'u'@'%'", "LOCK TABLES", shop, true},
		{"GRANT SELECT, LOCK TABLES ON `sh%`.* TO 'u'@'%'", "LOCK TABLES", shop, true},
		{"GRANT SELECT ON `sh\\_p`.* TO 'u'@'%'", "SELECT", shop, false},
		{"GRANT SELECT ON `sh_p`.* TO 'u'@'%'", "SELECT", shop, true},
		{"GRANT SELECT ON `shop`.`outbox` TO 'u'@'%'", "SELECT", shop, true},
		{"GRANT SELECT ON `shop`.`other` TO 'u'@'%'", "SELECT", shop, false},
		{"GRANT SELECT (`id`, `topic`), INSERT ON `shop`.`outbox` TO 'u'@'%'", "SELECT", shop, true},
		{"GRANT EXECUTE ON PROCEDURE `shop`.`outbox` TO 'u'@'%'", "SELECT", shop, false},
	}
	for _, tt := range tests {
		var list grants
		for _, line := range strings.Split(tt.lines, "\n") {
			if g, ok := parseGrant(line); ok {
				list = append(list, g)
			}
		}
		if got := list.has(tt.privilege, tt.on); got != tt.want {
			t.Errorf("%q: %s on %v: %v", tt.lines, tt.privilege, tt.on, got)
		}
	}
}

func TestDropFrom(t *testing.T) {
	list := dropFrom(nil, 3, 3)
	list = dropFrom(list, 2, 4)
	list = dropFrom(list, 4, 6)
	list = dropFrom(list, 8, 9)
	if got := dropped(list); got != 5 {
		t.Errorf("dropped %d of %v", got, list)
	}
	if list = dropFrom(list, 1, 20); len(list) != 1 || dropped(list) != 19 {
		t.Errorf("%v", list)
	}
}
