package main

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// fakeGo is a go that writes what it was asked for in place of a binary.
const fakeGo = `#!/bin/bash
args="$GOOS/$GOARCH cgo=$CGO_ENABLED $*"
while [ "$1" != -o ]; do shift; done
echo "$args" >"$2"
`

// TestRelease: an archive for each platform with what belongs into it, stamped with
// version and commit by names that the program has, the same bytes each time, and a
// checksum that is right. Go itself is not asked: it would build four times.
func TestRelease(t *testing.T) {
	first, second := releaseIn(t), releaseIn(t)
	sums := readFile(t, filepath.Join(first, "SHA256SUMS"))
	if sums != readFile(t, filepath.Join(second, "SHA256SUMS")) {
		t.Error("another run makes other bytes")
	}
	for _, platform := range []string{"linux_amd64", "linux_arm64", "darwin_amd64", "darwin_arm64"} {
		name := "binjet_v1.2.3_" + platform
		archive := readFile(t, filepath.Join(first, name+".tar.gz"))
		if want := fmt.Sprintf("%x  ./%s.tar.gz\n", sha256.Sum256([]byte(archive)), name); !strings.Contains(sums, want) {
			t.Errorf("SHA256SUMS has no %s", want)
		}
		files := unpack(t, archive)
		for _, file := range []string{"LICENSE", "README.md", "CHANGELOG.md"} {
			if files[name+"/"+file] != file {
				t.Errorf("%s: %s is %q", name, file, files[name+"/"+file])
			}
		}
		built := files[name+"/binjet"]
		stamps := regexp.MustCompile(`-X main\.(\w+)=(\S+)`).FindAllStringSubmatch(built, -1)
		if len(stamps) != 2 || !slices.Equal(stamps[0][1:], []string{"version", "v1.2.3"}) || !slices.Equal(stamps[1][1:], []string{"commit", "abc1234"}) {
			t.Errorf("%s is stamped %q", name, stamps)
		}
		if !strings.HasPrefix(built, strings.ReplaceAll(platform, "_", "/")+" cgo=0 build -trimpath ") {
			t.Errorf("%s is built by %s", name, built)
		}
	}
}

// releaseIn runs deploy/release.sh in a directory of its own, which has no Git.
func releaseIn(t *testing.T) (dist string) {
	t.Helper()
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "deploy"), 0o755))
	for name, text := range map[string]string{"deploy/release.sh": readFile(t, "../../deploy/release.sh"), "go": fakeGo, "LICENSE": "LICENSE", "README.md": "README.md", "CHANGELOG.md": "CHANGELOG.md"} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755))
	}
	cmd := exec.Command("bash", filepath.Join(dir, "deploy/release.sh"))
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "VERSION=v1.2.3", "COMMIT=abc1234", "GO="+filepath.Join(dir, "go"), "GIT_CEILING_DIRECTORIES="+filepath.Dir(dir))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return filepath.Join(dir, "dist")
}

func unpack(t *testing.T, archive string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	plain, err := gzip.NewReader(strings.NewReader(archive))
	must(t, err)
	for r := tar.NewReader(plain); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		must(t, err)
		text, err := io.ReadAll(r)
		must(t, err)
		files[h.Name] = string(text)
	}
}

// TestStamp: what the linker sets is what binjet version says, also as JSON.
func TestStamp(t *testing.T) {
	defer func(v, c string) { version, commit = v, c }(version, commit)
	version, commit = "v1.2.3", "abc1234"
	if _, out, _ := do(nil, "version"); !strings.HasPrefix(out, "binjet  v1.2.3\ncommit  abc1234\n") {
		t.Error(out)
	}
	if _, out, _ := do(nil, "version", "-o", "json"); !strings.Contains(out, `"version": "v1.2.3"`) {
		t.Error(out)
	}
	for file, want := range map[string]string{"../../Makefile": "-X main.version=$(VERSION) -X main.commit=$(COMMIT)", "../../deploy/Dockerfile": "-X main.version=$"} {
		if !strings.Contains(readFile(t, file), want) {
			t.Errorf("%s does not stamp by %s", file, want)
		}
	}
}

// TestDockerfiles: an image of a binary that is there is that of one which is built, and
// what builds needs nothing that a checkout does not have.
func TestDockerfiles(t *testing.T) {
	for _, file := range []string{"../../deploy/Dockerfile", "../../examples/shop/Dockerfile"} {
		built, prebuilt := readFile(t, file), readFile(t, file+".prebuilt")
		if strings.Contains(built, "bin/image") {
			t.Errorf("%s: Docker's old builder makes every stage, and bin/image is not in a checkout", file)
		}
		_, one, _ := strings.Cut(built, "\nUSER ")
		_, other, _ := strings.Cut(prebuilt, "\nUSER ")
		if one != other || one == "" {
			t.Errorf("%s ends with\n%s, prebuilt with\n%s", file, one, other)
		}
	}
}
