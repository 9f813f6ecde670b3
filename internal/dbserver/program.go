package dbserver

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Program is the path of one of the server's own tools, such as mysqlbinlog: the one
// beside the server program, or else the one on the PATH. A server in a container
// has none that could be called here.
func (s *Server) Program(name string) (string, error) {
	h, ok := s.run.(*host)
	if !ok {
		return "", fmt.Errorf("dbserver: %s of %s can't be called from here", name, s.run)
	}
	beside := filepath.Join(filepath.Dir(h.program), name)
	if _, err := os.Stat(beside); err == nil {
		return beside, nil
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("dbserver: %s is neither beside %s nor on the PATH: install the server's client package", name, h.program)
	}
	return path, nil
}
