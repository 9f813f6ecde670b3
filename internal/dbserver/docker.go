package dbserver

import (
	"context"
	"errors"
)

func fromDocker(context.Context, Options, func(string) string) (launcher, error) {
	return nil, errors.New("todo")
}

// images are the names to look for.
func (f Flavor) images(string) []string {
	return []string{"mysql:8.4"}
}
