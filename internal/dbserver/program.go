package dbserver

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Program is the path of one of the server's own tools, such as mysqlbinlog: the one
// beside the server program, or else, and always for a server in a container, the one on
// the PATH.
func (s *Server) Program(name string) (string, error) {
	h, ok := s.run.(*host)
	if !ok {
		return onPath(name, "on the PATH, where it is looked for when the server is in a container")
	}
	beside := filepath.Join(filepath.Dir(h.program), name)
	if _, err := os.Stat(beside); err == nil {
		return beside, nil
	}
	return onPath(name, "beside "+h.program+" or on the PATH")
}

func onPath(name, places string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("dbserver: %s is not %s: install the package that has it", name, places)
	}
	return path, nil
}
