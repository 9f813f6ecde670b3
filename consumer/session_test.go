package consumer

import (
	"log/slog"
	"testing"
	"time"
)

func TestStatusOfAPull(t *testing.T) {
	for _, tc := range []struct {
		code, description         string
		over, ended, pausesBefore bool
	}{
		{code: "100", description: "Idle Heartbeat"},
		{code: "404", description: "No Messages", over: true},
		{code: "408", description: "Request Timeout", over: true},
		{code: "408", description: "Interest Expired", over: true},
		{code: "409", description: "Exceeded MaxAckPending", over: true, pausesBefore: true},
		{code: "409", description: "Message Size Exceeds MaxBytes", over: true, pausesBefore: true},
		{code: "409", description: "Consumer Deleted", over: true, ended: true},
		{code: "409", description: "Leadership Change", over: true, ended: true},
		{code: "409", description: "Server Shutdown", over: true, ended: true},
		{code: "409", description: "Consumer is push based", over: true, ended: true},
		{code: "503", over: true, ended: true},
		{code: "400", description: "Bad Request", over: true, ended: true},
		{code: "412", description: "Required Api Level", over: true, ended: true},
	} {
		s := &session{engine: &engine{Consumer: &Consumer{log: slog.New(slog.DiscardHandler)}}}
		over, err := s.status(tc.code, tc.description)
		if over != tc.over || (err != nil) != tc.ended || s.resumes.After(time.Now()) != tc.pausesBefore {
			t.Errorf("%s %s: over %t, error %v, pause until %s", tc.code, tc.description, over, err, s.resumes)
		}
	}
}
