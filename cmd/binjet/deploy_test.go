package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/binjet/binjet/cmd/binjet/internal/config"
)

// manifest is what the tests below look at of deploy/kubernetes.
type manifest struct {
	Kind string            `yaml:"kind"`
	Data map[string]string `yaml:"data"`
	Spec struct {
		Replicas     int `yaml:"replicas"`
		MinAvailable int `yaml:"minAvailable"`
		Template     struct {
			Spec struct {
				Grace    int `yaml:"terminationGracePeriodSeconds"`
				Security struct {
					NonRoot bool `yaml:"runAsNonRoot"`
				} `yaml:"securityContext"`
				Containers []struct {
					Args     []string `yaml:"args"`
					Security struct {
						ReadOnly   bool `yaml:"readOnlyRootFilesystem"`
						Escalation bool `yaml:"allowPrivilegeEscalation"`
					} `yaml:"securityContext"`
					Liveness  probe `yaml:"livenessProbe"`
					Readiness probe `yaml:"readinessProbe"`
				} `yaml:"containers"`
				Volumes []map[string]any `yaml:"volumes"`
			} `yaml:"spec"`
		} `yaml:"template"`
	} `yaml:"spec"`
}

type probe struct {
	Get struct {
		Path string `yaml:"path"`
	} `yaml:"httpGet"`
}

func manifests(t *testing.T) map[string]manifest {
	t.Helper()
	text, err := os.ReadFile("../../deploy/kubernetes/binjet.yaml")
	if err != nil {
		t.Fatal(err)
	}
	list := map[string]manifest{}
	for dec := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var m manifest
		err := dec.Decode(&m)
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		list[m.Kind] = m
	}
}

// TestKubernetes: the manifest runs a configuration that this program takes, as a pair
// of which one survives, without root and without a place to write.
func TestKubernetes(t *testing.T) {
	list := manifests(t)
	dir := t.TempDir()
	secrets := strings.NewReplacer("/run/secrets/binjet", dir)
	for name, text := range map[string]string{"source-password": "secret", "nats.creds": "creds"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "binjet.yaml")
	if err := os.WriteFile(file, []byte(secrets.Replace(list["ConfigMap"].Data["binjet.yaml"])), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(config.Input{File: file})
	if err != nil {
		t.Fatal(err)
	}
	if string(cfg.Database.Password) != "secret" || cfg.NATS.Creds != filepath.Join(dir, "nats.creds") {
		t.Errorf("the secrets are not taken: %q", cfg.NATS.Creds)
	}
	d := list["Deployment"].Spec
	pod := d.Template.Spec
	c := pod.Containers[0]
	switch {
	case d.Replicas != 2 || list["PodDisruptionBudget"].Spec.MinAvailable != 1:
		t.Error("it is no pair of which one may go")
	case !pod.Security.NonRoot || !c.Security.ReadOnly || c.Security.Escalation:
		t.Errorf("it has rights that it does not need: %+v", c.Security)
	case c.Liveness.Get.Path != "/healthz" || c.Readiness.Get.Path != "/readyz":
		t.Errorf("a database that is down would restart it: %+v", c)
	case pod.Grace < 30 || c.Args[0] != "run":
		t.Errorf("it has no time to hand over: %d s, %v", pod.Grace, c.Args)
	}
	for _, v := range pod.Volumes {
		if v["configMap"] == nil && v["secret"] == nil {
			t.Errorf("it needs a volume: %v", v)
		}
	}
}

// unitKeys are the settings of systemd.unit(5), .service(5), .exec(5), .kill(5) and
// .resource-control(5) that the unit may use. systemd passes over what it does not know,
// with a line in the log, so a misspelled protection would be none.
var unitKeys = map[string][]string{
	"Unit": {"Description", "Documentation", "Wants", "After", "StartLimitIntervalSec"},
	"Service": {"ExecStart", "ExecReload", "LoadCredential", "Restart", "RestartSec", "RestartPreventExitStatus", "TimeoutStopSec",
		"DynamicUser", "NoNewPrivileges", "ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateDevices", "ProtectKernelTunables",
		"ProtectKernelModules", "ProtectControlGroups", "RestrictAddressFamilies", "RestrictNamespaces", "LockPersonality",
		"MemoryDenyWriteExecute", "SystemCallArchitectures", "SystemCallFilter", "CapabilityBoundingSet", "MemoryMax", "UMask"},
	"Install": {"WantedBy"},
}

// TestSystemdUnit: what an operator has to decide is not restarted, and each setting is
// one of systemd's, in the section where it counts. Where systemd is, it is asked, too.
func TestSystemdUnit(t *testing.T) {
	text := readFile(t, "../../deploy/systemd/binjet.service")
	for _, want := range []string{
		`(?m)^ExecStart=\S+/binjet run -c /etc/binjet/binjet\.yaml$`, `(?m)^RestartPreventExitStatus=2 3$`,
		`(?m)^ExecReload=\S+ -HUP \$MAINPID$`, `(?m)^DynamicUser=yes$`,
	} {
		if !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("no line matches %s", want)
		}
	}
	section := ""
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		if line[0] == '[' {
			section = strings.Trim(line, "[]")
			continue
		}
		if key, _, is := strings.Cut(line, "="); !is || !slices.Contains(unitKeys[section], key) {
			t.Errorf("[%s] has no %s", section, key)
		}
	}
	if analyze, err := exec.LookPath("systemd-analyze"); err == nil {
		file := filepath.Join(t.TempDir(), "binjet.service")
		must(t, os.WriteFile(file, []byte(strings.Replace(text, "/usr/local/bin/binjet", "/bin/true", 1)), 0o600))
		if out, err := exec.Command(analyze, "verify", "--man=no", file).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%v: %s", err, out)
		}
	}
}
