package main

import "syscall"

// childAttr: killed when this process is gone, however that ends, and out of the
// terminal's foreground group, so that Ctrl-C reaches this process alone.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
