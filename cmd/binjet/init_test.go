package main

import (
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/nats-io/nats.go"
)

// What is down at first is waited for; what answers with an error is not.
func TestPatiently(t *testing.T) {
	for name, test := range map[string]struct {
		wait  time.Duration
		err   error // of the first three connects
		calls int
		good  bool
	}{
		"up in time":        {time.Minute, io.EOF, 4, true},
		"no wait":           {0, io.EOF, 1, false},
		"too late":          {time.Second, io.EOF, 3, false},
		"wrong password":    {time.Minute, fmt.Errorf("connect: %w", &mysql.MySQLError{Number: errAccessDenied}), 1, false},
		"wrong credentials": {time.Minute, fmt.Errorf("connect: %w", nats.ErrAuthorization), 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				_, err := patiently(t.Context(), time.Now().Add(test.wait-time.Nanosecond), func() (struct{}, error) {
					if calls++; calls > 3 {
						return struct{}{}, nil
					}
					return struct{}{}, test.err
				})
				if calls != test.calls || (err == nil) != test.good {
					t.Errorf("%d calls, then %v", calls, err)
				}
			})
		})
	}
}
