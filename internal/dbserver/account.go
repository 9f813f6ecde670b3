package dbserver

import (
	"os"
	"os/user"
	"path/filepath"
	"strconv"
)

// account is whom a server runs as.
type account struct {
	uid, gid int
	other    bool // another one than this process has
}

// ownerOf is whom a server runs as and owns its data: PostgreSQL refuses to be
// root, and is nobody then.
func ownerOf(f Flavor) account {
	self := account{uid: os.Geteuid(), gid: os.Getegid()}
	if f != PostgreSQL || self.uid != 0 {
		return self
	}
	nobody := account{uid: 65534, gid: 65534, other: true}
	if u, err := user.Lookup("nobody"); err == nil {
		uid, uidErr := strconv.Atoi(u.Uid)
		gid, gidErr := strconv.Atoi(u.Gid)
		if uidErr == nil && gidErr == nil {
			nobody.uid, nobody.gid = uid, gid
		}
	}
	return nobody
}

// cacheDir is where fetched servers and templates are. Nobody else can look into
// root's home directory, so what runs as somebody else has a place of its own.
func (f Flavor) cacheDir(getenv func(string) string) (string, error) {
	if ownerOf(f).other && !filepath.IsAbs(getenv("XDG_CACHE_HOME")) {
		return "/var/cache/binjet", nil
	}
	return defaultCacheDir(getenv)
}
