package dbserver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// dockerTimeout bounds one call of the docker command, so that a daemon that
// hangs is a way that failed.
const dockerTimeout = 30 * time.Second

// container runs a server from a local image. The child of this process is an
// attached `docker run`: it has the server's log and ends when the server does.
// A restart makes a new container, for other options, on the same volume.
type container struct {
	docker string
	image  string
	build  build
	opts   Options
	name   string // of the container and of its volume
	guard  *guard // set by prepare
}

// fromDocker looks for an image that is here already.
func fromDocker(ctx context.Context, o Options, getenv func(string) string) (launcher, error) {
	if o.Flavor == PostgreSQL {
		return nil, errors.New("not for PostgreSQL")
	}
	if o.Dir != "" {
		return nil, errors.New("not with Options.Dir: a container keeps its data in a volume")
	}
	docker, err := exec.LookPath("docker")
	if err != nil {
		return nil, err
	}
	c := &container{docker: docker, opts: o, name: "binjet-" + strings.ToLower(rand.Text()[:12])}
	if _, err := c.call(ctx, "version", "--format", "{{.Server.Version}}"); err != nil {
		return nil, fmt.Errorf("the Docker daemon does not answer: %w", err)
	}
	images := o.Flavor.images(o.Version)
	if _, name := o.Flavor.vars(); getenv(name) != "" {
		images = []string{getenv(name)}
	}
	var errs []error
	for _, c.image = range images {
		err := c.probe(ctx)
		if err == nil {
			return c, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// images are the names of official images to look for, when no other is named.
func (f Flavor) images(want string) []string {
	usual := version{8, 4}
	if f == MariaDB {
		usual = version{11}
	}
	tags := []string{usual.String()}
	if v, err := parseVersion(want); err == nil {
		tags = []string{v.String()}
		if usual.matches(want) || v.matches(usual.String()) {
			tags = append(tags, usual.String())
		}
	}
	var images []string
	for _, tag := range slices.Compact(tags) {
		images = append(images, f.name()+":"+tag)
	}
	return images
}

// probe asks the server in the image for its version; a tag proves nothing.
// `docker run` would pull an image that is not here: --pull=never.
func (c *container) probe(ctx context.Context) error {
	if _, err := c.call(ctx, "image", "inspect", "--format", "{{.Id}}", c.image); err != nil {
		return fmt.Errorf("image %s is not here: %w", c.image, err)
	}
	var errs []error
	for _, program := range c.opts.Flavor.programs() {
		out, err := c.call(ctx, "run", "--rm", "--pull=never", "--network=none", "--entrypoint", program,
			c.image, "--no-defaults", "--version")
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if c.build, err = parseBuild(out); err == nil {
			err = c.build.check(c.opts)
		}
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return fmt.Errorf("image %s: %w", c.image, errors.Join(errs...))
}

func (c *container) String() string { return "docker image " + c.image }

func (c *container) prepare(context.Context, string) error {
	var err error
	c.guard, err = startGuard(c.docker, c.name)
	return err
}

func (c *container) launch(ctx context.Context, port int, args []string, log *os.File) (*child, error) {
	cmd, err := c.command(ctx, port, args)
	if err != nil {
		return nil, err
	}
	return startLogged(cmd, log)
}

// command gives the official images what they need to make root without a
// password; other images know nothing of it. No restart policy, no --rm: the
// volume has to stay for a restart.
func (c *container) command(ctx context.Context, port int, args []string) (*exec.Cmd, error) {
	if _, err := c.call(ctx, "rm", "-f", c.name); err != nil {
		return nil, fmt.Errorf("remove the last container: %w", err)
	}
	run := []string{
		"run", "--pull=never", "--name", c.name, "--label", "binjet.throwaway=true",
		"--publish", "127.0.0.1:" + strconv.Itoa(port) + ":3306",
		"--volume", c.name + ":/var/lib/mysql",
	}
	if c.opts.Flavor == MariaDB {
		run = append(run, "--env", "MARIADB_ALLOW_EMPTY_ROOT_PASSWORD=1")
	} else {
		run = append(run, "--env", "MYSQL_ALLOW_EMPTY_PASSWORD=1", "--env", "MYSQL_ROOT_HOST=%")
	}
	return exec.Command(c.docker, append(append(run, c.image), args...)...), nil
}

func (c *container) pid(*child) int { return 0 }

// terminate thaws a paused server, as it would not hear the signal.
func (c *container) terminate(ctx context.Context, _ *child) error {
	_, _ = c.call(ctx, "unpause", c.name) // fails when it is not paused
	_, err := c.call(ctx, "kill", "--signal", "TERM", c.name)
	return err
}

// kill works on a paused container too. When there is none (the server ended by
// itself, or `docker run` has not made it yet) the command is what is left to kill.
func (c *container) kill(ctx context.Context, ch *child) error {
	_, err := c.call(ctx, "kill", c.name)
	if err == nil || ch.ended() {
		return nil
	}
	_, rmErr := c.call(ctx, "rm", "-f", c.name)
	if sigErr := killGroup(ch); rmErr != nil || sigErr != nil {
		return errors.Join(err, rmErr, sigErr)
	}
	return nil
}

func (c *container) pause(ctx context.Context, _ *child) error {
	_, err := c.call(ctx, "pause", c.name)
	return err
}

func (c *container) resume(ctx context.Context, _ *child) error {
	_, err := c.call(ctx, "unpause", c.name)
	return err
}

func (c *container) remove(ctx context.Context) error {
	if c.guard == nil {
		return nil
	}
	return c.guard.release(ctx)
}

func (c *container) call(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, dockerTimeout)
	defer cancel()
	out, err := output(ctx, c.docker, args...)
	if err != nil {
		return "", fmt.Errorf("docker %s: %w", args[0], err)
	}
	return out, nil
}
