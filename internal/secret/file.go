package secret

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// File reads the secret kept in a file, without the newline at its end. Where
// there is no file, create's secret is written to a new one that only its owner
// may read, and made is true. Processes that do so at once end with the same
// secret. A file that others may read is refused, as its secret may be known.
func File(path string, create func() Secret) (s Secret, made bool, err error) {
	s, err = readFile(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return s, false, err
	}
	made, err = writeNew(path, create())
	if err != nil {
		return Secret{}, false, err
	}
	s, err = readFile(path)
	return s, made, err
}

// ReadFile reads the secret kept in a file that is there.
func ReadFile(path string) (Secret, error) { return readFile(path) }

// ReplaceFile writes another secret into a secret's file: whole or not at all,
// whatever happens meanwhile.
func ReplaceFile(path string, s Secret) error {
	temporary, err := writeTemporary(path, s)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temporary) }()
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("replace secret file %s: %w", path, err)
	}
	syncDir(filepath.Dir(path))
	return nil
}

func readFile(path string) (Secret, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Secret{}, fmt.Errorf("look at secret file: %w", err)
	}
	// Windows has no such bits: its files belong to the user's folder.
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return Secret{}, fmt.Errorf("secret file %s may be read or changed by other users (mode %04o): run: chmod 600 %s", path, mode, path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return Secret{}, fmt.Errorf("read secret file: %w", err)
	}
	s := New(strings.TrimRight(string(b), "\r\n"))
	if s.Empty() {
		return Secret{}, fmt.Errorf("secret file %s is empty: restore it from a backup, or delete it to have a new one made", path)
	}
	return s, nil
}

// writeNew gives the file its name only when it is whole and on disk: what is
// sealed by a lost key is lost too. It reports false where another process was
// first.
func writeNew(path string, s Secret) (bool, error) {
	temporary, err := writeTemporary(path, s)
	if err != nil {
		return false, err
	}
	defer func() { _ = os.Remove(temporary) }()
	// A link, unlike a rename, does not replace a file that is there by now.
	if err := os.Link(temporary, path); errors.Is(err, fs.ErrExist) {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("name secret file %s: %w", path, err)
	}
	syncDir(filepath.Dir(path))
	return true, nil
}

// writeTemporary writes a file beside the one at path, whole and on disk, and
// gives its name.
func writeTemporary(path string, s Secret) (string, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // Mode 0600.
	if err != nil {
		return "", fmt.Errorf("make secret file %s: %w", path, err)
	}
	_, err = f.WriteString(s.Reveal() + "\n")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		_ = os.Remove(f.Name())
		return "", fmt.Errorf("write secret file %s: %w", path, err)
	}
	return f.Name(), nil
}

func syncDir(dir string) {
	d, err := os.Open(dir)
	if err != nil {
		return
	}
	// Some file systems cannot sync a folder; the file itself is on disk.
	_ = d.Sync()
	_ = d.Close()
}
