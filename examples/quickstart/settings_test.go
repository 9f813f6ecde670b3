package main

import (
	"testing"

	"github.com/binjet/binjet/internal/dbserver"
)

func TestSettings(t *testing.T) {
	none := func(string) string { return "" }
	s, err := parseSettings(nil, none)
	if err != nil || s.flavor != dbserver.MySQL || s.kills < 3 || s.events < 1000 {
		t.Errorf("%+v, %v", s, err)
	}
	s, err = parseSettings(nil, func(name string) string {
		return map[string]string{"BINJET_DEMO_SERVER": "mariadb", "BINJET_DEMO_DSN": "u:p@tcp(h:1)/"}[name]
	})
	if err != nil || s.flavor != dbserver.MariaDB || s.dsn != "u:p@tcp(h:1)/" {
		t.Errorf("%+v, %v", s, err)
	}
	for name, args := range map[string][]string{
		"too few events":      {"-events", "3", "-kills", "0"},
		"too short for kills": {"-events", "5000", "-rate", "5000"},
		"no rate":             {"-rate", "0"},
	} {
		if _, err := parseSettings(args, none); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := parseSettings(nil, func(string) string { return "oracle" }); err == nil {
		t.Error("oracle: no error")
	}
}

func TestAboutServer(t *testing.T) {
	for version, want := range map[string]string{
		"9.7.4": "MySQL 9.7.4", "8.4.6-0ubuntu1": "MySQL 8.4.6", "11.8.9-MariaDB-log": "MariaDB 11.8.9",
	} {
		if got := aboutServer(version); got != want {
			t.Errorf("%s: %q, want %q", version, got, want)
		}
	}
}
