package store

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// ErrLocked says that a service lives on the database already.
var ErrLocked = errors.New("a stockroom service is using this database")

// Lock makes the caller the one service on the database at a URL until it calls
// release, or ends in whichever way: the lock is the operating system's on a
// file beside the database, so a killed process leaves none behind. Take it
// before the database is opened, which may migrate it. ErrLocked tells that
// another process holds it.
func Lock(databaseURL string) (release func(), err error) {
	path, err := pathOf(databaseURL)
	if err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock database: %w", err)
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		file.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w (%s)", ErrLocked, path)
		}
		return nil, fmt.Errorf("lock %s.lock: %w", path, err)
	}
	return func() { file.Close() }, nil
}
