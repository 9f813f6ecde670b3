package dbserver

import "syscall"

// childAttr: killed when the thread that made it ends, and out of the
// terminal's foreground group.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
