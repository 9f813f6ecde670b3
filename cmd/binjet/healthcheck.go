package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/binjet/binjet/cmd/binjet/internal/config"
)

// healthTimeout is below every container engine's own.
const healthTimeout = 3 * time.Second

func newHealthcheck(p process) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask the process with this configuration whether it is ready",
		Long: `Ask /readyz at http.listen, print what it says, and exit with 0 when the process is
ready. It is for the health check of a container, whose image has no other program
that could ask.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			in := settingsInput(cmd, p.environ)
			in.Offline = true
			cfg, err := config.Load(in)
			if err != nil {
				return failed(err)
			}
			return failed(askReady(cmd.Context(), p.stdout, cfg.HTTP.Listen))
		},
	}
	addSettings(cmd)
	return cmd
}

func askReady(ctx context.Context, w io.Writer, listen string) error {
	if listen == "" {
		return advise(errors.New("http.listen is empty, so there is nothing to ask"), "set http.listen")
	}
	addr, err := localAddr(listen)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/readyz", nil)
	if err != nil {
		return err
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return advise(fmt.Errorf("ask whether the process is ready: %w", err), "see the log of binjet run; both have to have the same http.listen")
	}
	defer res.Body.Close()
	if _, err := io.Copy(w, io.LimitReader(res.Body, 1<<20)); err != nil {
		return fmt.Errorf("read what %s/readyz says: %w", addr, err)
	}
	if res.StatusCode != http.StatusOK {
		return &commandError{err: fmt.Errorf("not ready: %s", res.Status), told: true}
	}
	return nil
}

// localAddr is where a listener on all addresses is asked from its own machine.
func localAddr(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", fmt.Errorf("http.listen %q: %w", listen, err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port), nil
}
