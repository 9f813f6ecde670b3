package torture

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// privateEnv says that this process may mount: nobody else sees it, and it is gone
// with the last process that does.
const privateEnv = "BINJET_TEST_PRIVATE_MOUNTS"

const diskSize = "size=6g" // of memory, as far as it is written to

// runPrivately runs this program again where it may mount, and ends with it. Root may;
// others may where they are given a user namespace.
func runPrivately() error {
	if os.Getenv(privateEnv) != "" {
		return syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, "")
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), privateEnv+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if uid, gid := os.Getuid(), os.Getgid(); uid != 0 {
		const sysAdmin = 21
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
		cmd.SysProcAttr.AmbientCaps = []uintptr{sysAdmin}
	}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		os.Exit(0)
	case errors.As(err, &exit):
		os.Exit(max(1, exit.ExitCode()))
	}
	return fmt.Errorf("a full disk needs a file system of its own, and mounting is not permitted here: run this as root, "+
		"or where user namespaces are allowed: %w", err)
}

// ownDisks gives each node a file system of its own for what it stores.
func (w *world) ownDisks(nodes int) {
	for i := range nodes {
		dir := filepath.Join(w.dir, fmt.Sprintf("nats-%d", i+1))
		must(w.t, os.MkdirAll(dir, 0o755))
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, diskSize); err != nil {
			w.t.Fatalf("mount a file system for NATS: %v", err)
		}
		w.t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	}
}

// diskFull leaves a node no more room than it takes now. What is written behind that
// fails; when there is room again, the node is started anew, as its operator would.
func (w *world) diskFull(i int) (func() error, error) {
	dir, p := w.nats.spec[i].Store, w.nats.nodes[i]
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return nil, err
	}
	used := (st.Blocks-st.Bfree)*uint64(st.Bsize) + 64<<10
	full := fmt.Sprintf("size=%d", used)
	for try := uint64(1); ; try++ { // it grows meanwhile
		err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, full)
		if err == nil {
			break
		}
		if try == 20 {
			return nil, fmt.Errorf("leave %s no room: %w", dir, err)
		}
		full = fmt.Sprintf("size=%d", used+try<<20)
	}
	wait(w.t.Context(), time.Second) // so that something is written
	return func() error {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, diskSize); err != nil {
			return fmt.Errorf("give %s room: %w", dir, err)
		}
		p.kill()
		if err := p.start(); err != nil {
			return err
		}
		// Until it has everything again, no other node may be lost.
		return w.until("the node whose disk was full has everything again", time.Minute, func() bool { return len(w.nats.nodes) == 1 || w.allCurrent() })
	}, nil
}
