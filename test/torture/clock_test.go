package torture

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// clockEnv names the file by which a streamer's wall clock is wrong: nanoseconds, as
// eight bytes, which it maps into its memory.
const clockEnv = "BINJET_TEST_CLOCK"

// clock is the wall clock of one process. Its monotonic clock goes on as ever, as it
// does when an operator, or NTP, sets the time of a machine.
type clock struct{ file string }

func newClock(file string) (*clock, error) {
	c := &clock{file}
	return c, c.jump(0)
}

// jump sets it that far off the true time, at once.
func (c *clock) jump(by time.Duration) error {
	f, err := os.OpenFile(c.file, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.Write(binary.NativeEndian.AppendUint64(nil, uint64(by)))
	return err
}

// shiftSource becomes a file of package time. A Go program asks the kernel for the time
// by no library that could be put in between, so it is compiled in.
const shiftSource = `package time

import (
	"sync/atomic"
	"syscall"
	"unsafe"
)

var shift *int64

func init() {
	name, ok := syscall.Getenv("` + clockEnv + `")
	if !ok {
		return
	}
	fd, err := syscall.Open(name, syscall.O_RDONLY, 0)
	if err != nil {
		panic(err)
	}
	page, err := syscall.Mmap(fd, 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		panic(err)
	}
	shift = (*int64)(unsafe.Pointer(&page[0]))
}

func shifted(sec int64, nsec int32, mono int64) (int64, int32, int64) {
	if shift == nil {
		return sec, nsec, mono
	}
	by := atomic.LoadInt64(shift)
	all := int64(nsec) + by%1e9
	sec += by / 1e9
	for ; all < 0; all += 1e9 {
		sec--
	}
	for ; all >= 1e9; all -= 1e9 {
		sec++
	}
	return sec, int32(all), mono
}
`

// buildWithClock makes a streamer whose wall clock can be set.
func buildWithClock(path string) error {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return err
	}
	original := filepath.Join(strings.TrimSpace(string(out)), "src", "time", "time.go")
	source, err := os.ReadFile(original)
	if err != nil {
		return err
	}
	const now, set = "	sec, nsec, mono := runtimeNow()\n", "	sec, nsec, mono := shifted(runtimeNow())\n"
	if strings.Count(string(source), now) != 1 {
		return fmt.Errorf("%s does not ask for the time as it is known to: clocks can't be set with this version of Go", original)
	}
	dir := filepath.Dir(path)
	replaced := map[string]string{}
	for name, text := range map[string]string{original: strings.Replace(string(source), now, set, 1), filepath.Join(filepath.Dir(original), "shift.go"): shiftSource} {
		replaced[name] = filepath.Join(dir, filepath.Base(name)+".txt")
		if err := os.WriteFile(replaced[name], []byte(text), 0o644); err != nil {
			return err
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, overlay, 0o644); err != nil {
		return err
	}
	return build(path, "-overlay", file)
}
