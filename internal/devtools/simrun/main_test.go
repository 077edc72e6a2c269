package main

import (
	"os"
	"os/exec"
	"testing"
)

// TestVersionNamesWhatRuns: a record of seeds belongs to one code. A file that
// git does not know yet is built like any other.
func TestVersionNamesWhatRuns(t *testing.T) {
	t.Chdir(t.TempDir())
	git := func(args ...string) {
		t.Helper()
		args = append([]string{"-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"}, args...)
		if out, err := exec.Command("git", args...).CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]string{}
	differs := func(what string) {
		t.Helper()
		name, err := version(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if was, known := seen[name]; known {
			t.Errorf("%s is named %s like %s", what, name, was)
		}
		seen[name] = what
	}
	git("init", "-q")
	write("a.go", "package a")
	git("add", ".")
	git("commit", "-qm", "one")
	differs("the commit")
	write("a.go", "package b")
	differs("a change")
	write("a.go", "package a")
	write("b.go", "package a")
	differs("a new file")
	write("b.go", "package a // more")
	differs("a new file that changed")
	write("c.go", "package a // more")
	differs("another new file")
}
