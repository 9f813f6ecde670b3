package testdb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	tclog "github.com/testcontainers/testcontainers-go/log"

	"github.com/binjet/binjet/internal/dbserver"
)

// containers is the backend: a server is a container on the host's network, with its
// data in the directory that is asked for.
type containers struct{}

func (containers) String() string { return "testcontainers-go" }

// image is what a variable names, or the official one.
func image(f dbserver.Flavor, version string, getenv func(string) string) string {
	name, tag := variable(f, "IMAGE"), map[dbserver.Flavor]string{dbserver.MySQL: "8.4", dbserver.MariaDB: "11"}[f]
	if version != "" {
		name, tag = variable(f, strings.ReplaceAll(version, ".", "_")+"_IMAGE"), version
	}
	if image := getenv(name); image != "" {
		return image
	}
	return string(f) + ":" + tag
}

// Launch makes a container for each start: a restart may have other options. Time zones
// are left out, since no test wants their names and loading them takes seconds.
func (containers) Launch(ctx context.Context, l dbserver.Launch) (dbserver.Process, error) {
	log, err := os.OpenFile(l.Log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	server := append([]string{fmt.Sprintf("--port=%d", l.Port), "--bind-address=127.0.0.1", "--socket=" + filepath.Join(l.Data, "m.sock")}, l.Args...)
	c, err := testcontainers.GenericContainer(ctx, testcontainers.GenericContainerRequest{
		ContainerRequest: testcontainers.ContainerRequest{
			Image: image(l.Flavor, l.Version, os.Getenv),
			Cmd:   server,
			Env: map[string]string{
				"MYSQL_ALLOW_EMPTY_PASSWORD": "1", "MYSQL_ROOT_HOST": "%", "MYSQL_INITDB_SKIP_TZINFO": "1",
				"MARIADB_ALLOW_EMPTY_ROOT_PASSWORD": "1", "MARIADB_INITDB_SKIP_TZINFO": "1",
			},
			Labels: map[string]string{"binjet.test": os.Getenv("BINJET_TEST_RUN")},
			HostConfigModifier: func(h *container.HostConfig) {
				h.NetworkMode = "host"
				h.Binds = append(h.Binds, l.Data+":/var/lib/mysql", l.Data+":"+l.Data)
				for _, dir := range reads(l.Args) {
					h.Binds = append(h.Binds, dir+":"+dir+":ro")
				}
			},
			LogConsumerCfg: &testcontainers.LogConsumerConfig{Consumers: []testcontainers.LogConsumer{writer{log}}},
		},
		Logger:  tclog.NewNoopLogger(),
		Started: true,
	})
	if err != nil {
		if c != nil {
			err = errors.Join(err, c.Terminate(context.Background()))
		}
		return nil, errors.Join(err, log.Close())
	}
	docker, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return nil, errors.Join(err, c.Terminate(context.Background()), log.Close())
	}
	return &contained{c: c, docker: docker, log: log}, nil
}

// reads gives the directories of the files that options name, which a container has to
// share.
func reads(args []string) (shared []string) {
	for _, arg := range args {
		_, path, _ := strings.Cut(arg, "=")
		dir := filepath.Dir(path)
		if info, err := os.Stat(path); filepath.IsAbs(path) && err == nil && info.Mode().IsRegular() && !slices.Contains(shared, dir) {
			shared = append(shared, dir)
		}
	}
	return shared
}

// contained is a running container.
type contained struct {
	c      testcontainers.Container
	docker *testcontainers.DockerClient
	log    *os.File
}

// Wait removes the container once it has ended; its data is outside of it.
func (p *contained) Wait() error {
	defer p.docker.Close()
	wait := p.docker.ContainerWait(context.Background(), p.c.GetContainerID(), client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
	var err error
	select {
	case how := <-wait.Result:
		if how.StatusCode != 0 {
			err = fmt.Errorf("exit status %d", how.StatusCode)
		}
	case err = <-wait.Error:
	}
	if rm := p.c.Terminate(context.Background()); rm != nil && !errdefs.IsNotFound(rm) {
		err = errors.Join(err, fmt.Errorf("remove the container: %w", rm))
	}
	return errors.Join(err, p.log.Close())
}

// Terminate thaws a paused server, as it would not hear the signal.
func (p *contained) Terminate(ctx context.Context) error {
	_, _ = p.docker.ContainerUnpause(ctx, p.c.GetContainerID(), client.ContainerUnpauseOptions{}) // fails when it is not paused
	_, err := p.docker.ContainerKill(ctx, p.c.GetContainerID(), client.ContainerKillOptions{Signal: "TERM"})
	return err
}

func (p *contained) Kill(ctx context.Context) error {
	_, err := p.docker.ContainerKill(ctx, p.c.GetContainerID(), client.ContainerKillOptions{Signal: "KILL"})
	if errdefs.IsNotFound(err) || errdefs.IsConflict(err) { // it has ended
		return nil
	}
	return err
}

func (p *contained) Pause(ctx context.Context) error {
	_, err := p.docker.ContainerPause(ctx, p.c.GetContainerID(), client.ContainerPauseOptions{})
	return err
}

func (p *contained) Resume(ctx context.Context) error {
	_, err := p.docker.ContainerUnpause(ctx, p.c.GetContainerID(), client.ContainerUnpauseOptions{})
	return err
}

// writer puts what the container says into the server's log.
type writer struct{ file *os.File }

func (w writer) Accept(l testcontainers.Log) { _, _ = w.file.Write(l.Content) }
