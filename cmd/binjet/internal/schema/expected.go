package schema

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/binjet/binjet"
)

// definition is a column as binjet's own SQL defines it.
type definition struct {
	name, text string // text may stand behind the name in a statement
	kind       string
	size       int64
	collation  string
	null       bool
}

// expected reads the columns in the SQL that binjet makes the table with, so that
// there is one place that says what they are.
func expected() ([]definition, error) {
	statement, err := binjet.OutboxSQL(binjet.DefaultTable)
	if err != nil {
		return nil, err
	}
	var list []definition
	for _, line := range regexp.MustCompile(`(?m)^  ([a-z_]+) +([A-Z].*?),?$`).FindAllStringSubmatch(statement, -1) {
		d := definition{name: line[1], text: strings.Join(strings.Fields(line[2]), " ")}
		kind, size, _ := strings.Cut(strings.TrimSuffix(strings.Fields(d.text)[0], ")"), "(")
		d.kind = strings.ToLower(kind)
		if size != "" {
			if d.size, err = strconv.ParseInt(size, 10, 64); err != nil {
				return nil, fmt.Errorf("column %s of the schema: %w", d.name, err)
			}
		}
		if found := regexp.MustCompile(`COLLATE (\w+)`).FindStringSubmatch(d.text); found != nil {
			d.collation = found[1]
		}
		d.null = !strings.Contains(d.text, "NOT NULL")
		list = append(list, d)
	}
	return list, nil
}

const longblob = 1<<32 - 1

// differences says what of a column loses or refuses what ours takes (fault), and
// what only differs (warning).
func (d definition) differences(have Column) (fault, warning string) {
	switch {
	case !d.null && have.Null:
		fault = "it may be NULL, and a row with a NULL is no event"
	case d.null && !have.HasValue:
		fault = "it may not be NULL, so an event without one can't be inserted"
	case d.name == binjet.ColumnCreatedAt && !have.HasValue:
		fault = "it has no default, and the producer leaves it to the server"
	}
	if fault != "" {
		return fault, ""
	}
	switch d.kind {
	case "timestamp":
		return d.timeDiffers(have)
	case "longblob":
		return d.binaryDiffers(have)
	}
	return d.textDiffers(have)
}

// textDiffers: which types and character sets can be read at all, the reader says.
func (d definition) textDiffers(have Column) (fault, warning string) {
	charset, _, _ := strings.Cut(have.Collation, "_")
	switch {
	case !have.holdsText():
		return "it must be text", ""
	case have.Length < d.size:
		return fmt.Sprintf("it takes %d characters, and there may be %d", have.Length, d.size), ""
	case have.Collation == d.collation:
		return "", ""
	case have.Collation == "":
		return "", "binjet makes it text, which SQL shows and compares as such"
	case strings.HasPrefix(d.collation, "utf8mb4") && charset != "utf8mb4":
		return "it can't hold every character, as " + charset + " is not all of UTF-8", ""
	}
	return "", "binjet makes it " + d.collation
}

func (d definition) binaryDiffers(have Column) (fault, warning string) {
	switch {
	case have.Kind == "json" || have.holdsText() && have.Collation != "":
		return "", "it takes text only, and a JSON column stores it in a form of its own"
	case !have.holdsText():
		return "it must be binary", ""
	case have.Length < longblob:
		return fmt.Sprintf("it takes %d bytes, and a larger event can't be inserted", have.Length), ""
	}
	return "", ""
}

// holdsText reports whether text or bytes are stored as they are.
func (c Column) holdsText() bool {
	switch c.Kind {
	case "char", "varchar", "tinytext", "text", "mediumtext", "longtext", "varbinary", "tinyblob", "blob", "mediumblob", "longblob":
		return true
	}
	return false
}

func (d definition) timeDiffers(have Column) (fault, warning string) {
	switch {
	case have.Kind == "datetime":
		return "", "it holds the time by the time zone of whoever inserts, and binjet takes it for UTC"
	case int64(have.Precision) < d.size:
		return "", fmt.Sprintf("it has %d digits of a second's fraction, and %d are usual", have.Precision, d.size)
	}
	return "", ""
}
