//go:build !unix

package dbserver

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// Options.validate refuses these systems; this is here so that programs that
// import the package can be built for them.

func tieChild(*exec.Cmd) {}

func guardAttr() *syscall.SysProcAttr { return nil }

func killGroup(c *child) error { return c.signal(os.Kill) }

func (c *child) terminate() error { return errors.ErrUnsupported }

func (c *child) freeze(context.Context) error { return errors.ErrUnsupported }

func (c *child) thaw() error { return errors.ErrUnsupported }

func tryLock(*os.File) (bool, error) { return false, errors.ErrUnsupported }

func (a account) run(*exec.Cmd) {}

func (a account) own(string) error { return nil }

func interrupt(*child) error { return errors.ErrUnsupported }

func killTree(context.Context, *child) error { return errors.ErrUnsupported }

func freezeTree(context.Context, *child) error { return errors.ErrUnsupported }

func thawTree(*child) error { return errors.ErrUnsupported }
