package cloudevents

import (
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/binjet/binjet"
)

// ErrNotEvent is returned by [Read] for a message that is not a CloudEvent in
// binary mode.
var ErrNotEvent = errors.New("not a CloudEvent in binary mode")

// Event are the attributes of a CloudEvent. Its data is the message's payload.
type Event struct {
	ID, Source, SpecVersion, Type string

	Subject         string
	Time            time.Time // zero: unsaid
	DataContentType string
	DataSchema      string
	Extensions      map[string]string
}

// Read reads the attributes of a message, as a handler has it. It reports every
// fault at once, beside what could be read; errors.Is(err, [ErrNotEvent]) tells a
// message that has no attributes from one that has wrong ones.
func Read(m *binjet.Message) (Event, error) {
	var e Event
	attributes := map[string]string{}
	var faults []string
	for name, values := range m.Headers {
		attribute, is := attributeOf(name)
		if !is || len(values) == 0 {
			continue
		}
		attribute = strings.ToLower(attribute)
		value, err := decode(values[0])
		if err != nil {
			faults = append(faults, fmt.Sprintf("header %q: %v", name, err))
		}
		if _, twice := attributes[attribute]; twice || len(values) > 1 {
			faults = append(faults, fmt.Sprintf("attribute %s is there more than once", attribute))
		}
		attributes[attribute] = value
	}
	if attributes["specversion"] == "" && len(faults) == 0 {
		return e, fmt.Errorf("%w: it has no header ce-specversion", ErrNotEvent)
	}
	faults = append(faults, e.take(attributes)...)
	if e.DataContentType == "" {
		e.DataContentType = m.ContentType
	}
	if len(faults) > 0 {
		sort.Strings(faults)
		return e, fmt.Errorf("cloudevents: %s", strings.Join(faults, "; "))
	}
	return e, nil
}

// take puts the attributes in their places and returns what is wrong with them.
func (e *Event) take(attributes map[string]string) (faults []string) {
	for name, value := range attributes {
		switch name {
		case "id":
			e.ID = value
		case "source":
			e.Source = value
		case "specversion":
			e.SpecVersion = value
		case "type":
			e.Type = value
		case "subject":
			e.Subject = value
		case "datacontenttype":
			e.DataContentType = value
		case "dataschema":
			e.DataSchema = value
		case "time":
			at, err := time.Parse(time.RFC3339Nano, value)
			if err != nil {
				faults = append(faults, fmt.Sprintf("attribute time is %q, not RFC 3339", value))
			}
			e.Time = at
		default:
			if e.Extensions == nil {
				e.Extensions = map[string]string{}
			}
			e.Extensions[name] = value
		}
	}
	for name, value := range map[string]string{"id": e.ID, "source": e.Source, "type": e.Type} {
		if value == "" {
			faults = append(faults, fmt.Sprintf("attribute %s is missing", name))
		}
	}
	if !strings.HasPrefix(e.SpecVersion, "1.") {
		faults = append(faults, fmt.Sprintf("specversion is %q, of which nothing is known here", e.SpecVersion))
	}
	return faults
}
