package dbserver

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

// The tests here need no database: this test binary, started under the name of
// a server program or of docker, behaves like one as far as the package can see.
// The real ones are tried in test/dbserver_test.go.
func TestMain(m *testing.M) {
	switch name := filepath.Base(os.Args[0]); name {
	case "mysqld", "mariadbd":
		os.Exit(fakeServer(name, os.Args[1:]))
	case "mysqlbinlog":
		fmt.Printf("%s  Ver %s for Linux on x86_64\n", os.Args[0], beside("version"))
		os.Exit(0)
	case "docker":
		os.Exit(fakeDocker(os.Args[1:]))
	}
	// A program built with -race sleeps for a second when it exits; the fakes, which
	// inherit this, are started often.
	must0(os.Setenv("GORACE", os.Getenv("GORACE")+" atexit_sleep_ms=0"))
	goleak.VerifyTestMain(m)
}

func must0(err error) {
	if err != nil {
		panic(err)
	}
}

// install puts this binary at dir/name; files beside it say how it behaves.
func install(t *testing.T, dir, name string, files map[string]string) string {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	must(t, os.MkdirAll(dir, 0o755))
	path := filepath.Join(dir, name)
	must(t, os.Symlink(self, path))
	for file, text := range files {
		file = filepath.Join(dir, file)
		must(t, os.MkdirAll(filepath.Dir(file), 0o755))
		must(t, os.WriteFile(file, []byte(text), 0o644))
	}
	return path
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// beside reads a file beside the running program.
func beside(name string) string {
	text, _ := os.ReadFile(filepath.Join(filepath.Dir(os.Args[0]), name))
	return string(text)
}

func fakeServer(name string, args []string) int {
	opt := map[string]string{}
	for _, a := range args {
		k, v, _ := strings.Cut(strings.TrimPrefix(a, "--"), "=")
		opt[k] = v
	}
	has := func(k string) bool { _, ok := opt[k]; return ok }
	switch {
	case has("version"):
		fmt.Printf("%s  Ver %s for Linux\n", name, beside("version"))
		return 0
	case has("help"):
		fmt.Printf("Variables:\nbasedir   %s\n", filepath.Dir(os.Args[0]))
		return 0
	case has("broken") || beside("broken") != "":
		fmt.Fprintln(os.Stderr, "[ERROR] it is broken")
		return 7
	case has("initialize-insecure"):
		_ = os.Mkdir(opt["datadir"], 0o700)
		return writeOr1(filepath.Join(opt["datadir"], "auto.cnf"), "uuid")
	case has("bootstrap"):
		sql, _ := io.ReadAll(os.Stdin)
		return writeOr1(filepath.Join(opt["datadir"], "bootstrap"), string(sql))
	}
	return fakeListen(opt["port"], strings.Join(args, "\n"))
}

func writeOr1(path, text string) int {
	if os.WriteFile(path, []byte(text), 0o644) != nil {
		return 1
	}
	return 0
}

func fakeListen(port, args string) int {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	l, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Fprintf(os.Stderr, "args:\n%s\n", args)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write(packet("\x0a" + beside("version") + "\x00rest"))
			_ = conn.Close()
		}
	}()
	<-stop
	return 0
}

func packet(body string) []byte {
	n := len(body)
	return append([]byte{byte(n), byte(n >> 8), byte(n >> 16), 0}, body...)
}

// fakeDocker has one image, "here:1", with the server whose version is beside
// it, and notes every call in the file "calls". A container is a listening process.
func fakeDocker(args []string) int {
	note, err := os.OpenFile(filepath.Join(filepath.Dir(os.Args[0]), "calls"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return 1
	}
	fmt.Fprintln(note, strings.Join(args, " "))
	line := strings.Join(args, " ")
	pidFile := filepath.Join(filepath.Dir(os.Args[0]), "pid")
	switch {
	case args[0] == "image" && !strings.HasSuffix(line, " here:1"):
		fmt.Fprintln(os.Stderr, "No such image")
		return 1
	case args[0] == "run" && strings.Contains(line, "--version"):
		fmt.Printf("mysqld  Ver %s for Linux\n", beside("version"))
	case args[0] == "run":
		_, rest, _ := strings.Cut(line, "127.0.0.1:")
		port, _, _ := strings.Cut(rest, ":")
		writeOr1(pidFile, fmt.Sprint(os.Getpid()))
		return fakeListen(port, line)
	case args[0] == "kill":
		var pid int
		if _, err := fmt.Sscan(beside("pid"), &pid); err != nil {
			return 1
		}
		sig := os.Kill
		if strings.Contains(line, "TERM") {
			sig = syscall.SIGTERM
		}
		if p, err := os.FindProcess(pid); err != nil || p.Signal(sig) != nil {
			return 1
		}
	}
	return 0
}
