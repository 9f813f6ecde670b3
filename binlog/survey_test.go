package binlog

import (
	"testing"
	"time"
)

func TestKeep(t *testing.T) {
	for name, test := range map[string]struct {
		rows [][]string
		want time.Duration
	}{
		"MySQL":                {[][]string{{"binlog_expire_logs_auto_purge", "ON"}, {"binlog_expire_logs_seconds", "2592000"}}, 720 * time.Hour},
		"MySQL, not purging":   {[][]string{{"binlog_expire_logs_auto_purge", "OFF"}, {"binlog_expire_logs_seconds", "2592000"}}, 0},
		"MySQL 8.0, days":      {[][]string{{"binlog_expire_logs_seconds", "0"}, {"expire_logs_days", "7"}}, 168 * time.Hour},
		"for ever":             {[][]string{{"binlog_expire_logs_seconds", "0"}}, 0},
		"MariaDB":              {[][]string{{"binlog_expire_logs_seconds", "90"}, {"expire_logs_days", "0.001042"}}, 90 * time.Second},
		"MariaDB 10.5":         {[][]string{{"expire_logs_days", "10"}}, 240 * time.Hour},
		"a server without any": {nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := keepOf(test.rows); err != nil || got != test.want {
				t.Errorf("%s, %v; want %s", got, err, test.want)
			}
		})
	}
	if _, err := keepOf([][]string{{"expire_logs_days", "many"}}); err == nil {
		t.Error("no number is no error")
	}
}
