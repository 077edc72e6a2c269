package e2e

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// fillDisk lets no file of the service's database grow, as a full disk does not.
// It reports whether that can be done here.
func (w *world) fillDisk(s *service) bool {
	longest := int64(0)
	for _, name := range []string{"stockroom.db", "stockroom.db-wal"} {
		if info, err := os.Stat(filepath.Join(w.dir, name)); err == nil {
			longest = max(longest, info.Size())
		}
	}
	return unix.Prlimit(s.cmd.Process.Pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: uint64(longest), Max: unix.RLIM_INFINITY}, nil) == nil
}

func (w *world) freeDisk(s *service) {
	free := &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
	if err := unix.Prlimit(s.cmd.Process.Pid, unix.RLIMIT_FSIZE, free, nil); err != nil {
		w.t.Errorf("lift the limit of file sizes: %v", err)
	}
}
