package torture

import (
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// process is a child that is killed, stopped and started again, always as the same
// command.
type process struct {
	name    string
	command func() *exec.Cmd
	log     *os.File

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{}
	from int64 // where in its log the last start is
}

// newProcess starts it; what it says goes to a file below dir.
func newProcess(dir, name string, command func() *exec.Cmd) (*process, error) {
	log, err := os.OpenFile(dir+"/"+name+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	p := &process{name: name, command: command, log: log}
	return p, p.start()
}

func (p *process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	info, err := p.log.Stat()
	if err != nil {
		return err
	}
	p.from = info.Size()
	cmd := p.command()
	cmd.Stdout, cmd.Stderr = p.log, p.log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = cmd.Wait() }()
	p.cmd, p.done = cmd, done
	return nil
}

// said is what it wrote since its last start.
func (p *process) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	data, err := os.ReadFile(p.log.Name())
	if err != nil || int64(len(data)) < p.from {
		return ""
	}
	return string(data[p.from:])
}

func (p *process) current() (*exec.Cmd, chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd, p.done
}

func (p *process) signal(sig syscall.Signal) { cmd, _ := p.current(); _ = cmd.Process.Signal(sig) }

func (p *process) pid() int { cmd, _ := p.current(); return cmd.Process.Pid }

// kill ends it at once and waits for its end.
func (p *process) kill() {
	cmd, done := p.current()
	_ = cmd.Process.Kill()
	<-done
}

// killedCode is the exit code of what ended by a signal.
const killedCode = -1

// ended reports whether it has, and with which code.
func (p *process) ended() (code int, ok bool) {
	cmd, done := p.current()
	select {
	case <-done:
		return cmd.ProcessState.ExitCode(), true
	default:
		return 0, false
	}
}

// stop asks it to end, and returns its exit code.
func (p *process) stop(within time.Duration) (int, error) {
	p.signal(syscall.SIGCONT)
	p.signal(syscall.SIGTERM)
	cmd, done := p.current()
	select {
	case <-done:
		return cmd.ProcessState.ExitCode(), nil
	case <-time.After(within):
		p.kill()
		return -1, fmt.Errorf("%s did not stop in %s", p.name, within)
	}
}
