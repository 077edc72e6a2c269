package secret_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"stockroom/internal/secret"
)

func TestKeyFileIsMadeOnceAndForItsOwnerOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stockroom.db.key")
	first, made, err := secret.File(path, secret.NewKeyset)
	if err != nil || !made || first.Empty() {
		t.Fatalf("File = %d letters, made %v, %v; want a new secret", len(first.Reveal()), made, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v, %v; want 0600", info.Mode(), err)
	}
	again, made, err := secret.File(path, secret.NewKeyset)
	if err != nil || made || !again.Equal(first) {
		t.Errorf("the second File: made %v, %v; want the first one's secret", made, err)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("the folder holds %v; want the file alone", left)
	}
}

func TestKeyFileIsOneForProcessesStartedAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	var (
		wg      sync.WaitGroup
		secrets [16]secret.Secret
		makers  [16]bool
		errs    [16]error
	)
	for i := range secrets {
		wg.Go(func() { secrets[i], makers[i], errs[i] = secret.File(path, secret.NewKeyset) })
	}
	wg.Wait()
	count := 0
	for i := range secrets {
		if errs[i] != nil || !secrets[i].Equal(secrets[0]) {
			t.Errorf("process %d: %v; want the secret of all", i, errs[i])
		}
		if makers[i] {
			count++
		}
	}
	if count != 1 {
		t.Errorf("%d processes say that they made the file, want 1", count)
	}
}

func TestKeyFileThatOthersMayReadIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	for _, mode := range []os.FileMode{0o644, 0o640, 0o604, 0o620} {
		if err := os.WriteFile(path, []byte(hidden), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, _, err := secret.File(path, secret.NewKeyset)
		if err == nil || !strings.Contains(err.Error(), "chmod 600 "+path) || strings.Contains(err.Error(), hidden) {
			t.Errorf("mode %04o: %v; want a refusal that says how to mend it", mode, err)
		}
	}
}

func TestKeyFileThatIsEmptyIsNotReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := secret.File(path, secret.NewKeyset); err == nil || !strings.Contains(err.Error(), "is empty") {
		t.Errorf("File = %v; want a refusal", err)
	}
}

func TestKeyFileInAMissingFolderNamesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nowhere", "key")
	if _, _, err := secret.File(path, secret.NewKeyset); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("File = %v; want an error naming %s", err, path)
	}
}
