package inbox

import "testing"

func TestMySQLSpell(t *testing.T) {
	for _, tc := range []struct {
		query string
		args  []any
		want  string // "" when it has to stay as it is
	}{
		{"A ? B ?, ?", []any{"c", "0198c5a0-0000-7000-8000-000000000001", int64(-5)}, "A 'c' B '0198c5a0-0000-7000-8000-000000000001', -5"},
		{"A ?", []any{"x:y/z_.+=@#"}, "A 'x:y/z_.+=@#'"},
		{"A ?", []any{"it's"}, ""},
		{"A ?", []any{`a\b`}, ""},
		{"A ?", []any{`a"b`}, ""},
		{"A ?, ?", []any{"c", "a?b"}, ""},
		{"A ?", []any{"a b"}, ""},
		{"A ?", []any{"é"}, ""},
		{"A ?", []any{"\xff"}, ""},
		{"A ?", []any{1.5}, ""},
		{"A ?, ?", []any{"c"}, ""},
		{"A", nil, "A"},
	} {
		got, args := mysql{}.spell(tc.query, tc.args...)
		if tc.want == "" && (got != tc.query || len(args) != len(tc.args)) || tc.want != "" && (got != tc.want || args != nil) {
			t.Errorf("%s with %v is %s with %v", tc.query, tc.args, got, args)
		}
	}
}
