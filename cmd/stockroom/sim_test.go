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
			cancel()
		}
	}
	if code := <-ended; code != exitOK {
		t.Errorf("exit code %d: %s", code, stderr.String())
	}
	return page, lines.String()
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
		"--currency":              {"--currency", "yen!"},
		"--traffic 5000":          {"--traffic", "5000"},
		"no-such-file":            {"--catalogue", "no-such-file"},
		"line 2: Variant Price":   {"--catalogue", file},
		"end in .myshopify.com":   {"--shop", "example.com"},
		"has already been taken":  {"--shop", "a.myshopify.com,a.myshopify.com"},
		"missing port in address": {"--listen", "nowhere"},
	} {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), append([]string{"sim", "--listen", "127.0.0.1:0"}, args...), nil, &stdout, &stderr); code == exitOK || !strings.Contains(stderr.String(), want) {
			t.Errorf("%v: exit code %d, printed %q, want %q", args, code, stderr.String(), want)
		}
	}
}
