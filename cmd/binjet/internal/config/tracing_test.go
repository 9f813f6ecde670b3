package config

import (
	"strings"
	"testing"
)

// A receiver is a URL without a login, whose value no fault shows; a share is one.
func TestTracing(t *testing.T) {
	for name, test := range map[string]struct{ key, value, fault string }{
		"plain":       {"ENDPOINT", "http://127.0.0.1:4318", ""},
		"TLS, a path": {"ENDPOINT", "https://otel.example/some/path", ""},
		"no URL":      {"ENDPOINT", "127.0.0.1:4318", "tracing.endpoint"},
		"gRPC":        {"ENDPOINT", "grpc://127.0.0.1:4317", "tracing.endpoint"},
		"a login":     {"ENDPOINT", "http://user:s3cret@127.0.0.1:4318", "OTEL_EXPORTER_OTLP_HEADERS"},
		"a share":     {"SAMPLING", "0.01", ""},
		"too much":    {"SAMPLING", "1.01", "is no number from 0 to 1"},
		"no number":   {"SAMPLING", "NaN", "is no number from 0 to 1"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(Input{Environ: []string{"BINJET_SOURCE_DSN=" + dsn, "BINJET_TRACING_" + test.key + "=" + test.value}})
			switch {
			case test.fault == "" && err != nil, test.fault != "" && (err == nil || !strings.Contains(err.Error(), test.fault)):
				t.Errorf("%v", err)
			case err != nil && strings.Contains(err.Error(), "s3cret"):
				t.Errorf("the password is shown: %v", err)
			}
		})
	}
}
