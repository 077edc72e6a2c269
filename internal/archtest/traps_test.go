package archtest

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	testFunction = regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)
	testName     = regexp.MustCompile("`(Test\\w+)`")
)

// testsOfTheTree are the names of all test functions below a folder.
func testsOfTheTree(t *testing.T, top string) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	err := filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, found := range testFunction.FindAllStringSubmatch(string(text), -1) {
			names[found[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// trapFaults says what is wrong with a page of traps, and how many it has. The
// last column of a row names tests that exist, or says why it cannot happen.
func trapFaults(page string, exists map[string]bool) (faults []string, traps int) {
	for line := range strings.Lines(page) {
		line = strings.TrimSpace(line)
		for _, name := range testName.FindAllStringSubmatch(line, -1) {
			if !exists[name[1]] {
				faults = append(faults, "names "+name[1]+", which is no test of the tree")
			}
		}
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "| ---") || strings.HasPrefix(line, "| what goes wrong") {
			continue
		}
		traps++
		cells := strings.Split(strings.Trim(line, "|"), "|")
		if len(cells) != 3 {
			faults = append(faults, "is no row of three columns: "+line)
			continue
		}
		here := strings.TrimSpace(cells[2])
		if reason, ok := strings.CutPrefix(here, "cannot happen: "); !testName.MatchString(here) && (!ok || len(reason) < 10) {
			faults = append(faults, "has neither a test nor a reason for: "+strings.TrimSpace(cells[0]))
		}
	}
	return faults, traps
}

func TestEveryTrapHasItsTest(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs", "traps.md"))
	if err != nil {
		t.Fatal(err)
	}
	exists := testsOfTheTree(t, root)
	faults, traps := trapFaults(string(page), exists)
	for _, fault := range faults {
		t.Errorf("docs/traps.md %s", fault)
	}
	if traps < 50 || len(exists) < 500 {
		t.Errorf("%d traps and %d tests were found: the page or the tree is not read as it is written", traps, len(exists))
	}
}

func TestTrapsWithoutATestAreFound(t *testing.T) {
	exists := map[string]bool{"TestThat": true}
	for row, want := range map[string]int{
		"| a | b | `TestThat` |":                           0,
		"| a | b | `TestThat`, `TestThis` |":               1,
		"| a | b | cannot happen: there is no such part |": 0,
		"| a | b | cannot happen: |":                       1,
		"| a | b | |":                                      1,
		"| a | `TestThat` |":                               1,
		"no row, but `TestThis`":                           1,
	} {
		if faults, _ := trapFaults(row, exists); len(faults) != want {
			t.Errorf("%s: %q, want %d faults", row, faults, want)
		}
	}
}
