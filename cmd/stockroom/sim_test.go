package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// simulate runs "stockroom sim" until its page was read, and returns the page
// and all that was printed.
func simulate(t *testing.T, args ...string) (page, printed string) {
	t.Helper()
	printed = simulating(t, func(address string) {
		response, err := http.Get(address)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("GET %s: status %d: %v", address, response.StatusCode, err)
		}
		page = string(body)
	}, args...)
	return page, printed
}

// simulating runs "stockroom sim" while use looks at it, and returns all that
// was printed.
func simulating(t *testing.T, use func(address string), args ...string) (printed string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, in := io.Pipe()
	var stderr bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, append([]string{"sim", "--listen", "127.0.0.1:0"}, args...), nil, in, &stderr)
		in.Close()
	}()
	var lines strings.Builder
	scanner := bufio.NewScanner(out)
	for scanner.Scan() {
		lines.WriteString(scanner.Text() + "\n")
		if _, rest, ok := strings.Cut(scanner.Text(), "Its page is "); ok {
			address, _, _ := strings.Cut(rest, ": ")
			use(address)
			cancel()
		}
	}
	if code := <-ended; code != exitOK {
		t.Errorf("exit code %d: %s", code, stderr.String())
	}
	return lines.String()
}

func TestSimKeepsItsState(t *testing.T) {
	state := filepath.Join(t.TempDir(), "shops.state")
	var faults string
	fault := func(method, body string) func(string) {
		return func(address string) {
			request, err := http.NewRequestWithContext(t.Context(), method, address+"faults", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Content-Type", "application/json")
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			answer, err := io.ReadAll(response.Body)
			if err != nil || response.StatusCode != http.StatusOK {
				t.Fatalf("%s: status %d: %v", method, response.StatusCode, err)
			}
			faults = string(answer)
		}
	}
	simulating(t, fault(http.MethodPost, `{"double":0.25}`), "--state", state, "--products", "3", "--shop", "a.myshopify.com")
	if info, err := os.Stat(state); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the state: %v, %v", info, err)
	}
	printed := simulating(t, fault(http.MethodGet, ""), "--state", state, "--products", "9", "--shop", "a.myshopify.com,b.myshopify.com")
	if !strings.Contains(faults, `"double":0.25`) {
		t.Errorf("faults after a restart: %s", faults)
	}
	for _, want := range []string{"a.myshopify.com: 3 products", "b.myshopify.com: 9 products"} {
		if !strings.Contains(printed, want) {
			t.Errorf("%q was not printed:\n%s", want, printed)
		}
	}
}

// TestSimKeepsItsStateBeforeTheEnd: what is killed without a warning has lost
// a minute at most.
func TestSimKeepsItsStateBeforeTheEnd(t *testing.T) {
	state := filepath.Join(t.TempDir(), "shops.state")
	simulating(t, func(string) {
		late := time.After(20 * time.Second)
		for {
			if _, err := os.Stat(state); err == nil {
				return
			}
			select {
			case <-late:
				t.Fatal("no state was written")
			case <-time.After(10 * time.Millisecond):
			}
		}
	}, "--state", state, "--save-every", "20ms", "--products", "3")
}

func TestSimMakesTheShopsThatItsFlagsSay(t *testing.T) {
	page, printed := simulate(t, "--variants", "123", "--goods", "toys,home", "--currency", "jpy", "--traffic", "50", "--seed", "4", "--shop", "a.myshopify.com,b.myshopify.com")
	for _, want := range []string{"a.myshopify.com: ", " in 123 variants", "b.myshopify.com: ", "SHOPIFY_URL_TEMPLATE=http://127.0.0.1:", "The simulator ends."} {
		if !strings.Contains(printed, want) {
			t.Errorf("%q was not printed:\n%s", want, printed)
		}
	}
	if !strings.Contains(page, `value="50"`) {
		t.Error("traffic is not on")
	}
}

func TestSimMakesAShopFromAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "products.csv")
	if err := os.WriteFile(file, []byte("Handle,Title,Variant Price\ntea,Tea,4.90\ncup,Cup,9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, printed := simulate(t, "--catalogue", file); !strings.Contains(printed, "2 products in 2 variants") {
		t.Errorf("printed:\n%s", printed)
	}
}

func TestSimRefusesWrongFlags(t *testing.T) {
	file := filepath.Join(t.TempDir(), "products.csv")
	if err := os.WriteFile(file, []byte("Handle,Title,Variant Price\ntea,Tea,cheap\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"--goods cars":            {"--goods", "cars"},
		"--variants":              {"--variants=-1"},
		"--currency yen!":         {"--currency", "yen!"},
		"--currency XYZ":          {"--currency", "XYZ"},
		"--traffic 5000":          {"--traffic", "5000"},
		"no-such-file":            {"--catalogue", "no-such-file"},
		"line 2: Variant Price":   {"--catalogue", file},
		"end in .myshopify.com":   {"--shop", "example.com"},
		"has already been taken":  {"--shop", "a.myshopify.com,a.myshopify.com"},
		"missing port in address": {"--listen", "nowhere"},
		"--state":                 {"--state", file},
	} {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), append([]string{"sim", "--listen", "127.0.0.1:0"}, args...), nil, &stdout, &stderr); code == exitOK || !strings.Contains(stderr.String(), want) {
			t.Errorf("%v: exit code %d, printed %q, want %q", args, code, stderr.String(), want)
		}
	}
}

// TestSimTellsWhatReachesItsFacebook: what it prints is enough to connect a Page.
func TestSimTellsWhatReachesItsFacebook(t *testing.T) {
	printed := simulating(t, func(address string) {
		response, err := http.Get(address + "ui/meta")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil || !strings.Contains(string(body), "Tea House") || !strings.Contains(string(body), "Mia Merchant") {
			t.Errorf("status %d, %v:\n%s", response.StatusCode, err, body)
		}
	}, "--page", "Tea House", "--meta-app-id", "77", "--products", "1")
	for _, want := range []string{"/graph.facebook.com\n", "/www.facebook.com\n", "FACEBOOK_APP_ID=77\n", "FACEBOOK_APP_SECRET=sim-facebook-secret\n",
		"FACEBOOK_REDIRECT_URI=http://127.0.0.1:5000/facebook/callback\n", "FACEBOOK_VERIFY_TOKEN="} {
		if !strings.Contains(printed, want) {
			t.Errorf("%q was not printed:\n%s", want, printed)
		}
	}
}
