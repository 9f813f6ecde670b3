package dbserver

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
)

// guardScript waits for the end of its input, which comes with the end of this
// process however it ends, and removes container and volume. A second round
// meets a container that the daemon was just making.
const guardScript = `cat >/dev/null
docker=$1 name=$2
for i in 1 2 3; do
  "$docker" rm -f -v "$name" >/dev/null 2>&1
  said=$("$docker" volume rm -f "$name" 2>&1) && exit 0
  sleep 1
done
echo "$said" >&2
exit 1`

// guard is a process that removes a container when this process is gone: the
// daemon owns the container, so nothing else ties it to us.
type guard struct {
	cmd   *exec.Cmd
	stdin io.Closer
	said  bytes.Buffer
}

func startGuard(docker, name string) (*guard, error) {
	g := &guard{cmd: exec.Command("sh", "-c", guardScript, "binjet-guard", docker, name)}
	g.cmd.SysProcAttr, g.cmd.Stderr = guardAttr(), &g.said
	stdin, err := g.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	g.stdin = stdin
	if err := g.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the container's guard: %w", err)
	}
	return g, nil
}

// release lets the guard do its work, and waits for it.
func (g *guard) release(ctx context.Context) error {
	if err := g.stdin.Close(); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = g.cmd.Process.Kill() })
	defer stop()
	if err := g.cmd.Wait(); err != nil {
		return fmt.Errorf("remove container and volume: %w: %s", err, strings.TrimSpace(g.said.String()))
	}
	return nil
}
