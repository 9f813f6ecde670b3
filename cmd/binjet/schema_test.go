package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestSchemaPrint: the SQL is had without any server, in each form.
func TestSchemaPrint(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, test := range map[string]struct {
		args []string
		code int
		out  []string // on stdout
		errs string   // on stderr
	}{
		"one":          {nil, 0, []string{"CREATE TABLE IF NOT EXISTS `outbox` (", "ENGINE=InnoDB COMMENT='binjet outbox v1';\n"}, ""},
		"tables":       {[]string{"--tables=a.b,c"}, 0, []string{"`a`.`b`", "EXISTS `c`"}, ""},
		"partitioned":  {[]string{"--variant=partitioned"}, 0, []string{"PRIMARY KEY (id, created_at)", "PARTITION `pmax` VALUES LESS THAN MAXVALUE\n);\n"}, ""},
		"blackhole":    {[]string{"--variant=blackhole"}, 0, []string{"ENGINE=BLACKHOLE"}, ""},
		"newest":       {[]string{"--from=1"}, 0, []string{"-- table outbox: nothing to do\n"}, ""},
		"down":         {[]string{"--down"}, 0, []string{"DROP TABLE IF EXISTS `outbox`;\n"}, ""},
		"from nowhere": {[]string{"--from=7"}, 1, nil, "newer binjet"},
		"no variant":   {[]string{"--variant=myisam"}, 2, nil, `--variant "myisam"`},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errs := do(nil, append([]string{"schema", "print"}, test.args...)...)
			if code != test.code || !strings.Contains(errs, test.errs) || (out == "") != (test.out == nil) {
				t.Errorf("exit %d\nstdout: %s\nstderr: %s", code, out, errs)
			}
			for _, words := range test.out {
				if !strings.Contains(out, words) {
					t.Errorf("no %q in %s", words, out)
				}
			}
		})
	}
}

func TestSchemaPrintJSON(t *testing.T) {
	t.Chdir(t.TempDir())
	code, out, errs := do(nil, "schema", "print", "--tables=a,b", "-o", "json")
	var list []tableSQL
	if err := json.Unmarshal([]byte(out), &list); code != 0 || err != nil || len(list) != 2 || list[1].Table != "b" || len(list[1].Statements) != 1 {
		t.Errorf("exit %d, %v: %s%s", code, err, out, errs)
	}
}

// TestSchemaDownAsks: without a yes nothing is even connected to.
func TestSchemaDownAsks(t *testing.T) {
	t.Chdir(t.TempDir())
	code, out, errs := do([]string{"BINJET_SOURCE_DSN=root@tcp(127.0.0.1:1)/shop"}, "schema", "down", "--force-data-loss")
	if code != exitUsage || out != "DROP TABLE IF EXISTS `outbox`;\n" || !strings.Contains(errs, "--yes") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
}
