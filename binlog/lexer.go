package binlog

import "strings"

// lexer splits a statement into words, quoted pieces and single characters,
// passing over white space and comments. Version comments (/*!50000 … */ and
// /*M! … */) are code, so only their marks are passed over.
type lexer struct {
	s   string
	tok string // the last token, with its quotes
}

// next reads a token into tok; false at the end.
func (l *lexer) next() bool {
	l.skip()
	if l.s == "" {
		l.tok = ""
		return false
	}
	n := 1
	switch c := l.s[0]; {
	case c == '`' || c == '\'' || c == '"':
		n = quotedLen(l.s)
	case isWordByte(c):
		for n < len(l.s) && isWordByte(l.s[n]) {
			n++
		}
	}
	l.tok, l.s = l.s[:n], l.s[n:]
	return true
}

// word is the next token in upper case, "" when there is none.
func (l *lexer) word() string {
	l.next()
	return strings.ToUpper(l.tok)
}

// identifier is the next token without quotes.
func (l *lexer) identifier() string {
	l.next()
	return l.name()
}

func (l *lexer) rest() string {
	l.skip()
	return l.s
}

func (l *lexer) isWord() bool { return l.tok != "" && isWordByte(l.tok[0]) }

// isName: a word or something quoted that may be an identifier.
func (l *lexer) isName() bool {
	return l.isWord() || l.tok != "" && (l.tok[0] == '`' || l.tok[0] == '"')
}

// name is the last token without its quotes.
func (l *lexer) name() string {
	if len(l.tok) < 2 || l.isWord() {
		return l.tok
	}
	q := l.tok[:1]
	return strings.ReplaceAll(strings.TrimSuffix(l.tok[1:], q), q+q, q)
}

func isWordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '$' || c >= 0x80
}

// quotedLen is the length of the quoted piece that s begins with; one that is
// not closed goes to the end. Identifiers know no backslash.
func quotedLen(s string) int {
	q := s[0]
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && q != '`':
			i++
		case s[i] == q && i+1 < len(s) && s[i+1] == q:
			i++
		case s[i] == q:
			return i + 1
		}
	}
	return len(s)
}

// skip passes over white space and comments.
func (l *lexer) skip() {
	for {
		s := strings.TrimLeft(l.s, " \t\r\n\v\f;\x00")
		switch {
		case strings.HasPrefix(s, "/*!"):
			s = strings.TrimLeft(s[3:], "0123456789")
		case strings.HasPrefix(s, "/*M!"):
			s = strings.TrimLeft(s[4:], "0123456789")
		case strings.HasPrefix(s, "*/"): // the end of a version comment
			s = s[2:]
		case strings.HasPrefix(s, "/*"):
			_, s, _ = strings.Cut(s[2:], "*/")
		case strings.HasPrefix(s, "#"), isDashComment(s):
			_, s, _ = strings.Cut(s, "\n")
		default:
			l.s = s
			return
		}
		l.s = s
	}
}

// isDashComment: "--" begins a comment only before white space or the end.
func isDashComment(s string) bool {
	return strings.HasPrefix(s, "--") && (len(s) == 2 || s[2] <= ' ')
}
