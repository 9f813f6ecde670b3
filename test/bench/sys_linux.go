package main

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// childAttr: killed when this process is gone, however that ends, and out of the
// terminal's foreground group, so that Ctrl-C reaches this process alone.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// processors are those that this process may use.
func processors() (list []int, err error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, err
	}
	for i := 0; len(list) < set.Count(); i++ {
		if set.IsSet(i) {
			list = append(list, i)
		}
	}
	return list, nil
}

// runThreadOn confines a thread, 0 being this one; without processors it is as it was.
func runThreadOn(id int, list []int) error {
	if len(list) == 0 {
		return nil
	}
	var set unix.CPUSet
	for _, i := range list {
		set.Set(i)
	}
	if err := unix.SchedSetaffinity(id, &set); !errors.Is(err, unix.ESRCH) { // it has ended
		return err
	}
	return nil
}
