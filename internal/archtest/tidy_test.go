package archtest

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// root is the top of the tree, seen from this package.
const root = "../.."

// maxText is the size above which a file is taken for data and not read.
const maxText = 2 << 20

// The patterns are put together from parts where this file would match itself.
var (
	machinePath = regexp.MustCompile("(^|[\\s\"'(`=:])(/" + `root|/work|/home/[a-z]\w*|/Users/\w+|[A-Z]:\\Users)[/\\]\w`)
	leftover    = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME)\b`)
	condition   = regexp.MustCompile(`\b(when|once|until|after|as soon as)\b`)
	conflict    = regexp.MustCompile(`^(<{7}|>{7})( |$)`)
	sleep       = regexp.MustCompile(`\btime\.` + `Sleep\(`)
	skip        = regexp.MustCompile(`\.Sk` + `ip(Now|f)?\(`)
)

// lineFaults says what is wrong with one line of a file. In a test, bubble
// tells that it uses testing/synctest, in which sleeping takes no time.
func lineFaults(line string, test, bubble bool) []string {
	var faults []string
	if machinePath.MatchString(line) {
		faults = append(faults, "names a folder of one machine")
	}
	if leftover.MatchString(line) && !condition.MatchString(line) {
		faults = append(faults, "puts work off without saying what makes it due")
	}
	if conflict.MatchString(line) {
		faults = append(faults, "is a mark of a merge conflict")
	}
	if test && !bubble && sleep.MatchString(line) {
		faults = append(faults, "sleeps in a test: wait for what is to happen, or use testing/synctest")
	}
	if test && skip.MatchString(line) {
		faults = append(faults, "skips a test: make it run everywhere, or leave it out")
	}
	return faults
}

func TestNoFileHoldsLeftovers(t *testing.T) {
	read := 0
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			switch entry.Name() {
			case ".git", ".tools", "node_modules":
				return filepath.SkipDir
			}
			return nil
		}
		if entry.Name() == ".git" {
			return nil // In a second worktree a file that says where the first is.
		}
		if info, err := entry.Info(); err != nil || !info.Mode().IsRegular() || info.Size() > maxText {
			return nil // Gone since it was listed, a link, or data.
		}
		b, err := os.ReadFile(path)
		if err != nil || bytes.IndexByte(b, 0) >= 0 {
			return nil
		}
		read++
		test := strings.HasSuffix(path, "_test.go")
		bubble := test && bytes.Contains(b, []byte(`"testing/synctest"`))
		for i, line := range strings.Split(string(b), "\n") {
			for _, fault := range lineFaults(line, test, bubble) {
				t.Errorf("%s:%d %s: %.120s", strings.TrimPrefix(filepath.ToSlash(path), root+"/"), i+1, fault, line)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if read < 10 {
		t.Errorf("only %d files were read", read)
	}
}

func TestLeftoversAreFound(t *testing.T) {
	for _, tt := range []struct {
		line         string
		test, bubble bool
		want         int
	}{
		{"cd /" + "root/project", false, false, 1},
		{`path := "/` + `home/ann/stock"`, false, false, 1},
		{"see https://example.com/work/more", false, false, 0},
		{"// TO" + "DO: mend this", false, false, 1},
		{"// TO" + "DO when version 2 is out: mend this", false, false, 0},
		{strings.Repeat("<", 7) + " HEAD", false, false, 1},
		{"time." + "Sleep(1)", false, false, 0},
		{"time." + "Sleep(1)", true, false, 1},
		{"time." + "Sleep(1)", true, true, 0},
		{"t." + "Skip" + "(\"no npm\")", true, false, 1},
		{"an ordinary line", true, false, 0},
	} {
		if got := lineFaults(tt.line, tt.test, tt.bubble); len(got) != tt.want {
			t.Errorf("%q (test %v, bubble %v): %q, want %d faults", tt.line, tt.test, tt.bubble, got, tt.want)
		}
	}
}
