//go:build !unix

package dbserver

import (
	"context"
	"errors"
	"os"
	"syscall"
)

// Options.validate refuses these systems; this is here so that programs that
// import the package can be built for them.

func childAttr() *syscall.SysProcAttr { return nil }

func guardAttr() *syscall.SysProcAttr { return nil }

func killGroup(c *child) error { return c.signal(os.Kill) }

func (c *child) terminate() error { return errors.ErrUnsupported }

func (c *child) freeze(context.Context) error { return errors.ErrUnsupported }

func (c *child) thaw() error { return errors.ErrUnsupported }

func tryLock(*os.File) (bool, error) { return false, errors.ErrUnsupported }
