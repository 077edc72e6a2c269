package archtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "stockroom/"

// mayImport says which of our packages each package may import. Data flows one
// way: the wire and the store know only the model, apply is the one writer, and
// the ways out see the copy through query. Test files are free.
//
// A package's row is part of its design: a new arrow is worth a sentence in the
// commit that draws it.
var mayImport = map[string][]string{
	"internal/archtest": {},

	// The model, and values that anything may hold.
	"internal/mirror": {},
	"internal/secret": {},
	"internal/config": {"internal/secret"},
	"internal/loop":   {},

	// The wire.
	"internal/shopify/admin": {"internal/mirror"},
	"internal/shopify":       {"internal/mirror", "internal/secret", "internal/shopify/admin"},
	"internal/facebook":      {"internal/mirror", "internal/secret"},

	// The copy and what changes it.
	"internal/store":           {"internal/mirror", "internal/secret"},
	"internal/store/storetest": {"internal/catalog", "internal/mirror", "internal/secret", "internal/store"},
	"internal/catalog":         {"internal/mirror", "internal/store"},
	"internal/apply":           {"internal/catalog", "internal/loop", "internal/mirror", "internal/store"},
	"internal/inbox":           {"internal/facebook", "internal/mirror", "internal/secret", "internal/shopify", "internal/store"},
	"internal/reconcile":       {"internal/apply", "internal/loop", "internal/mirror", "internal/shopify", "internal/store"},
	"internal/connect":         {"internal/facebook", "internal/loop", "internal/mirror", "internal/secret", "internal/shopify", "internal/store"},
	"internal/jobs":            {"internal/loop", "internal/mirror", "internal/reconcile", "internal/store"},

	// The ways out. They take shops and keys from the store; all they say of a
	// shop's goods comes from query.
	"internal/query":     {"internal/catalog", "internal/mirror", "internal/store"},
	"internal/api":       {"internal/mirror", "internal/query", "internal/secret", "internal/store"},
	"internal/dashboard": {"internal/mirror", "internal/query", "internal/secret", "internal/store"},
	"internal/mcp":       {"internal/mirror", "internal/query", "internal/secret", "internal/store"},
	"internal/messenger": {"internal/facebook", "internal/mirror", "internal/query", "internal/secret", "internal/store"},

	// The far side. It shares no code with what it tests, or both would be
	// wrong together.
	"internal/simulator":          {"internal/simulator/graph", "internal/simulator/knob", "internal/simulator/meta", "internal/simulator/wire"},
	"internal/simulator/graph":    {},
	"internal/simulator/knob":     {},
	"internal/simulator/meta":     {"internal/simulator/knob", "internal/simulator/wire"},
	"internal/simulator/wire":     {},
	"internal/simulator/simbench": {"internal/simulator"},
	"internal/simtest":            {anything},

	"internal/devtools/pollbench":         {},
	"internal/devtools/mutants":           {},
	"internal/devtools/simrun":            {},
	"internal/devtools/shopifyschema":     {},
	"internal/devtools/shopifyschema/gen": {"internal/devtools/shopifyschema", "internal/shopify/admin"},

	// It looks at an installation from outside, and answers to nobody.
	"internal/doctor": {"internal/config", "internal/connect", "internal/facebook", "internal/mirror", "internal/secret", "internal/shopify", "internal/store"},

	"internal/app":       {anything},
	"internal/e2e":       {},
	"cmd/stockroom":      {anything},
	"cmd/stockroom/demo": {anything},
}

// anything is for the places where parts are put together, and for the test
// of all of them. The rules of its own that follow the table hold for it too.
const anything = "*"

// pkg is what "go list -json" says of a package, as far as it is needed.
type pkg struct {
	ImportPath string
	Doc        string
	Imports    []string
	Deps       []string
}

func (p pkg) name() string { return strings.TrimPrefix(p.ImportPath, module) }

// ours keeps the packages of this module and cuts its name.
func ours(paths []string) []string {
	var names []string
	for _, path := range paths {
		if name, ok := strings.CutPrefix(path, module); ok {
			names = append(names, name)
		}
	}
	return names
}

func packages(t *testing.T) []pkg {
	t.Helper()
	command := exec.Command("go", "list", "-e", "-json=ImportPath,Doc,Imports,Deps", "./...")
	command.Dir = root
	var stderr strings.Builder
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var all []pkg
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("read the output of go list: %v", err)
		}
		all = append(all, p)
	}
	if len(all) < 5 {
		t.Fatalf("go list found %d packages only", len(all))
	}
	return all
}

// importFaults says what is wrong with the imports of a package.
func importFaults(p pkg) []string {
	allowed, known := mayImport[p.name()]
	if !known {
		return []string{fmt.Sprintf("package %s is not in the table: add a row to mayImport that says what it may import", p.name())}
	}
	var faults []string
	for _, name := range ours(p.Imports) {
		if slices.Contains(allowed, name) || slices.Contains(allowed, anything) {
			continue
		}
		faults = append(faults, fmt.Sprintf("%s imports %s, which its row in mayImport does not allow: move the code to where the arrow points the right way, or argue for a new arrow", p.name(), name))
	}
	for _, name := range ours(p.Imports) {
		if isSimulator(name) && !isSimulator(p.name()) && !strings.HasPrefix(p.name(), "cmd/") && p.name() != "internal/simtest" {
			faults = append(faults, fmt.Sprintf("%s imports %s: the simulator is for commands and tests", p.name(), name))
		}
	}
	if isSimulator(p.name()) {
		for _, name := range ours(p.Deps) {
			if !isSimulator(name) {
				faults = append(faults, fmt.Sprintf("%s depends on %s: the simulator must share nothing with what it is to test", p.name(), name))
			}
		}
	}
	return faults
}

func isSimulator(name string) bool {
	return name == "internal/simulator" || strings.HasPrefix(name, "internal/simulator/")
}

func TestImportsPointOneWay(t *testing.T) {
	for _, p := range packages(t) {
		for _, fault := range importFaults(p) {
			t.Error(fault)
		}
	}
}

func TestAnImportAgainstTheDirectionIsFound(t *testing.T) {
	for _, tt := range []struct {
		p    pkg
		want string // Part of the one fault; empty for none.
	}{
		{pkg{ImportPath: "stockroom/internal/apply", Imports: []string{"fmt", "stockroom/internal/mirror", "stockroom/internal/store"}}, ""},
		{pkg{ImportPath: "stockroom/internal/mirror", Imports: []string{"stockroom/internal/store"}}, "imports internal/store"},
		{pkg{ImportPath: "stockroom/internal/store", Imports: []string{"stockroom/internal/query"}}, "imports internal/query"},
		{pkg{ImportPath: "stockroom/internal/surprise"}, "not in the table"},
		{pkg{ImportPath: "stockroom/internal/app", Imports: []string{"stockroom/internal/simulator"}}, "for commands and tests"},
		{pkg{ImportPath: "stockroom/cmd/stockroom", Imports: []string{"stockroom/internal/simulator"}}, ""},
		{pkg{ImportPath: "stockroom/internal/simulator", Deps: []string{"stockroom/internal/mirror", "stockroom/internal/simulator/graph"}}, "depends on internal/mirror"},
	} {
		got := importFaults(tt.p)
		if tt.want == "" && len(got) > 0 || tt.want != "" && (len(got) != 1 || !strings.Contains(got[0], tt.want)) {
			t.Errorf("%+v: %q, want %q", tt.p, got, tt.want)
		}
	}
}

// TestTheTableHasNoCircle keeps a careless row from allowing what the compiler
// would refuse only once both sides are written.
func TestTheTableHasNoCircle(t *testing.T) {
	var visit func(name string, path []string)
	visit = func(name string, path []string) {
		if slices.Contains(path, name) {
			t.Errorf("the table allows a circle: %s", strings.Join(append(path, name), " -> "))
			return
		}
		for _, next := range mayImport[name] {
			if next != anything {
				visit(next, append(slices.Clone(path), name))
			}
		}
	}
	for name := range mayImport {
		visit(name, nil)
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	for _, p := range packages(t) {
		if p.Doc == "" {
			t.Errorf("package %s has no package comment: say what it does, what it promises and what it leaves to others", p.name())
		}
	}
}
