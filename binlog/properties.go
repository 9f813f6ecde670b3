package binlog

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// property is one entry of a Java properties file.
type property struct{ name, value string }

// properties reads the text that java.util.Properties.store writes, and what its
// load takes: a name and a value a line, divided by =, : or white space; lines of
// # and ! are comments, \ at a line's end joins it with the next one, and \uXXXX,
// \t and the like are escapes. The last of two equal names counts, as it does there.
func properties(text string) ([]property, error) {
	var list []property
	for line := range logicalLines(text) {
		name, value := splitProperty(line)
		var err error
		var p property
		if p.name, err = unescapeProperty(name); err != nil {
			return nil, err
		}
		if p.value, err = unescapeProperty(value); err != nil {
			return nil, err
		}
		list = put(list, p)
	}
	return list, nil
}

func put(list []property, p property) []property {
	for i := range list {
		if list[i].name == p.name {
			list[i] = p
			return list
		}
	}
	return append(list, p)
}

const propertySpace = " \t\f"

// logicalLines yields the lines that hold an entry, joined where they go on.
func logicalLines(text string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		joined, open := "", false
		for line := range strings.SplitSeq(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text), "\n") {
			line = strings.TrimLeft(line, propertySpace)
			if !open && (line == "" || line[0] == '#' || line[0] == '!') {
				continue
			}
			joined += line
			slashes := len(line) - len(strings.TrimRight(line, `\`))
			if open = slashes%2 == 1; open {
				joined = joined[:len(joined)-1]
				continue
			}
			if !yield(joined) {
				return
			}
			joined = ""
		}
		if joined != "" {
			yield(joined)
		}
	}
}

// splitProperty divides a line at the first =, : or white space that no \ precedes.
func splitProperty(line string) (name, value string) {
	end := 0
	for end < len(line) && !strings.ContainsRune("=:"+propertySpace, rune(line[end])) {
		if line[end] == '\\' {
			end++
		}
		end++
	}
	end = min(end, len(line))
	value = strings.TrimLeft(line[end:], propertySpace)
	if value != "" && (value[0] == '=' || value[0] == ':') {
		value = strings.TrimLeft(value[1:], propertySpace)
	}
	return line[:end], value
}

func unescapeProperty(s string) (string, error) {
	if strings.IndexByte(s, '\\') < 0 {
		return s, nil
	}
	var units []uint16
	for i := 0; i < len(s); {
		if s[i] != '\\' || i+1 == len(s) {
			r, n := utf8.DecodeRuneInString(s[i:])
			units = utf16.AppendRune(units, r)
			i += n
			continue
		}
		i++
		switch c := s[i]; c {
		case 'u':
			if i+5 > len(s) {
				return "", fmt.Errorf(`%q holds a \u without its four digits`, s)
			}
			n, err := strconv.ParseUint(s[i+1:i+5], 16, 16)
			if err != nil {
				return "", fmt.Errorf(`%q holds a \u without its four digits`, s)
			}
			units = append(units, uint16(n))
			i += 5
		case 't', 'n', 'r', 'f':
			units = append(units, uint16("\t\n\r\f"[strings.IndexByte("tnrf", c)]))
			i++
		default:
			r, n := utf8.DecodeRuneInString(s[i:])
			units = utf16.AppendRune(units, r)
			i += n
		}
	}
	return string(utf16.Decode(units)), nil
}
