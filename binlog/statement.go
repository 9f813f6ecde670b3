package binlog

import "strings"

// kind is what a statement in the binlog means to a group.
type kind int

const (
	kindOther       kind = iota // DDL and everything that can't write rows
	kindEmpty                   // nothing but comments
	kindBegin                   // BEGIN, START TRANSACTION
	kindCommit                  //
	kindRollback                // of the whole transaction
	kindSavepoint               // SAVEPOINT name
	kindRollbackTo              // ROLLBACK [WORK] TO [SAVEPOINT] name
	kindRelease                 // RELEASE SAVEPOINT name
	kindXAStart                 // XA START|BEGIN xid
	kindXAEnd                   // XA END xid
	kindXAPrepare               // XA PREPARE xid
	kindXACommit                // XA COMMIT xid
	kindXARollback              // XA ROLLBACK xid
	kindCreateBegin             // CREATE TABLE … START TRANSACTION: rows follow
	kindWrite                   // a statement that may write rows
	kindDelete                  // DELETE: writes none itself, but its triggers may
)

// statement is a classified statement.
type statement struct {
	kind kind
	name string // of the savepoint or the XA transaction
}

// classify says what a statement of the binlog means. It knows nothing of the
// grammar beyond what tells the kinds apart, and takes what it does not know for
// a statement that may write rows: a false alarm is better than a lost row.
func classify(query string) statement {
	l := lexer{s: query}
	switch l.word() {
	case "BEGIN":
		return statement{kind: kindBegin}
	case "START":
		return statement{kind: kindBegin}
	case "COMMIT":
		return statement{kind: kindCommit}
	case "ROLLBACK":
		return classifyRollback(&l)
	case "SAVEPOINT":
		return statement{kindSavepoint, l.identifier()}
	case "RELEASE":
		l.word()
		return statement{kindRelease, l.identifier()}
	case "XA":
		return classifyXA(&l)
	case "CREATE":
		return classifyCreate(query)
	case "DELETE":
		return statement{kind: kindDelete}
	case "":
		return statement{kind: kindEmpty}
	case "ALTER", "DROP", "TRUNCATE", "RENAME", "GRANT", "REVOKE", "ANALYZE", "OPTIMIZE", "REPAIR", "FLUSH",
		"SET", "USE", "INSTALL", "UNINSTALL", "CHECK", "CHECKSUM", "CACHE", "RESET", "KILL", "LOCK",
		"UNLOCK", "COMMENT", "IMPORT", "ANALYSE", "END", "CHANGE", "PURGE", "BINLOG", "SHUTDOWN":
		return statement{kind: kindOther}
	}
	return statement{kind: kindWrite}
}

func classifyRollback(l *lexer) statement {
	w := l.word()
	if w == "WORK" {
		w = l.word()
	}
	if w != "TO" {
		return statement{kind: kindRollback}
	}
	save := *l
	if l.word() != "SAVEPOINT" || l.rest() == "" { // a savepoint may be called savepoint
		*l = save
	}
	return statement{kindRollbackTo, l.identifier()}
}

func classifyXA(l *lexer) statement {
	verb := l.word()
	xid := strings.TrimSpace(l.rest())
	if end := len(xid) - len("ONE PHASE"); end >= 0 && strings.EqualFold(xid[end:], "ONE PHASE") {
		xid = strings.TrimSpace(xid[:end])
	}
	xid = parseXID(xid)
	switch verb {
	case "START", "BEGIN":
		return statement{kindXAStart, xid}
	case "END":
		return statement{kindXAEnd, xid}
	case "PREPARE":
		return statement{kindXAPrepare, xid}
	case "COMMIT":
		return statement{kindXACommit, xid}
	case "ROLLBACK":
		return statement{kindXARollback, xid}
	}
	return statement{kind: kindWrite}
}

// classifyCreate: CREATE TABLE … SELECT is logged as a CREATE that ends in START
// TRANSACTION, with rows behind it; in statement format it is itself a write.
func classifyCreate(query string) statement {
	var last, before string
	isTable, selects := false, false
	l := lexer{s: query}
	l.word() // CREATE
	for first := true; l.next(); {
		if !l.isWord() {
			first = first && l.tok == ""
			before, last = last, ""
			continue
		}
		w := strings.ToUpper(l.tok)
		if first {
			switch w {
			case "OR", "REPLACE", "TEMPORARY":
			default:
				isTable, first = w == "TABLE", false
			}
		}
		selects = selects || w == "SELECT"
		before, last = last, w
	}
	switch {
	case isTable && before == "START" && last == "TRANSACTION":
		return statement{kind: kindCreateBegin}
	case isTable && selects:
		return statement{kind: kindWrite}
	}
	return statement{kind: kindOther}
}

// tableName is something in a statement that may name a table.
type tableName struct{ schema, name string }

// tableNames returns every identifier of a statement, with its qualifier. It
// takes double-quoted strings for identifiers too, as they are in ANSI_QUOTES.
func tableNames(query string) (names []tableName) {
	l := lexer{s: query}
	qualifier, dot := "", false
	for l.next() {
		switch {
		case l.isName():
			n := tableName{name: l.name()}
			if dot {
				n.schema = qualifier
			}
			names = append(names, n)
			qualifier, dot = n.name, false
		case l.tok == "." && qualifier != "":
			dot = true
		default:
			qualifier, dot = "", false
		}
	}
	return names
}
