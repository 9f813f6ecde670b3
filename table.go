package binjet

import (
	"fmt"
	"strings"
)

// Names of the outbox table and its columns unless configured otherwise.
const (
	DefaultTable    = "outbox"
	ColumnID        = "id"
	ColumnTopic     = "topic"
	ColumnKey       = "message_key"
	ColumnHeaders   = "headers"
	ColumnPayload   = "payload"
	ColumnCreatedAt = "created_at"
)

// QuoteTable validates "name" or "schema.name" and returns it in backquotes, safe
// to stand in a statement. Each part is 1 to 64 letters, digits, '_', '$' or '-'.
func QuoteTable(table string) (string, error) {
	parts := strings.Split(table, ".")
	if len(parts) > 2 {
		return "", fmt.Errorf("table %q: at most one dot, between schema and name", table)
	}
	for i, part := range parts {
		if err := checkIdentifier(part); err != nil {
			return "", fmt.Errorf("table %q: %w", table, err)
		}
		parts[i] = "`" + part + "`"
	}
	return strings.Join(parts, "."), nil
}

func checkIdentifier(s string) error {
	if s == "" || len(s) > 64 {
		return fmt.Errorf("identifier %q is %d characters: 1 to 64 are allowed", s, len(s))
	}
	for _, r := range s {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '$' || r == '-') {
			return fmt.Errorf("identifier %q holds %q: only letters, digits, '_', '$' and '-' are allowed", s, r)
		}
	}
	return nil
}
