package shopify

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"stockroom/internal/secret"
)

const signedAddress = "http://storage.example/bulk-1.jsonl?Signature=very-secret"

// jsonl is a file of n roots, each with a child, slashes escaped as recorded.
func jsonl(n int) []byte {
	var out bytes.Buffer
	for i := range n {
		fmt.Fprintf(&out, `{"id":"gid:\/\/shopify\/Product\/%d","title":"Product %d"}`+"\n", i, i)
		fmt.Fprintf(&out, `{"id":"gid:\/\/shopify\/ProductVariant\/%d","__parentId":"gid:\/\/shopify\/Product\/%d"}`+"\n", i, i)
	}
	return out.Bytes()
}

// readFile reads the file that a storage gives out, and counts what came.
func readFile(t *testing.T, storage http.HandlerFunc) (file BulkFile, lines []string, err error) {
	t.Helper()
	c := testClient(t, storage)
	operation := BulkOperation{ID: "gid://shopify/BulkOperation/1", Status: "COMPLETED", address: secret.New(signedAddress)}
	file, err = c.ReadBulkFile(t.Context(), operation, func(batch []BulkLine) error {
		if len(batch) > bulkBatchLines {
			t.Errorf("a batch of %d lines", len(batch))
		}
		for _, line := range batch {
			lines = append(lines, string(line.ID)+" of "+string(line.Parent))
		}
		return nil
	})
	if err != nil && (strings.Contains(err.Error(), "very-secret") || strings.Contains(err.Error(), "storage.example/")) {
		t.Errorf("the error shows the file's address: %v", err)
	}
	return file, lines, err
}

func mustBeWhole(t *testing.T, file BulkFile, lines []string, err error, want []byte) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	n := bytes.Count(want, []byte("\n"))
	if file.Size != int64(len(want)) || file.Lines != int64(n) || file.Roots != int64(n/2) || len(lines) != n {
		t.Fatalf("read %+v and %d lines; want %d bytes in %d lines", file, len(lines), len(want), n)
	}
	if first, second := lines[0], lines[1]; first != "gid://shopify/Product/0 of " || second != "gid://shopify/ProductVariant/0 of gid://shopify/Product/0" {
		t.Errorf("the lines begin with %q and %q", first, second)
	}
	seen := map[string]bool{}
	for _, line := range lines {
		if seen[line] {
			t.Fatalf("%q came twice", line)
		}
		seen[line] = true
	}
}

// TestBulkFileGetsNoToken: it lies with another host than the shop.
func TestBulkFileGetsNoToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file, lines, err := readFile(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Host != "storage.example" || r.Header.Get("X-Shopify-Access-Token") != "" || r.Header.Get("Authorization") != "" || len(r.Cookies()) > 0 {
				t.Errorf("the storage at %s was sent %v", r.Host, r.Header)
			}
			_, _ = w.Write(jsonl(700))
		})
		mustBeWhole(t, file, lines, err, jsonl(700))
	})
}

// TestBulkFileGoesOnAfterABrokenConnection: by a part where the storage gives
// parts, and otherwise by passing over what was read; compressed or not.
func TestBulkFileGoesOnAfterABrokenConnection(t *testing.T) {
	text := jsonl(20_000)
	var packed bytes.Buffer
	pack := gzip.NewWriter(&packed)
	_, _ = pack.Write(text)
	_ = pack.Close()
	for name, tt := range map[string]struct{ ranges, zip, wrong bool }{
		"parts": {ranges: true}, "no parts": {}, "compressed, no parts": {zip: true}, "compressed, parts": {ranges: true, zip: true},
		"another part than was asked for": {ranges: true, wrong: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				connections := 0
				file, lines, err := readFile(t, func(w http.ResponseWriter, r *http.Request) {
					connections++
					part, status := text, http.StatusOK
					if asked, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok && tt.ranges {
						from, err := strconv.Atoi(strings.TrimSuffix(asked, "-"))
						if err != nil || from == 0 || from >= len(text) {
							t.Errorf("asked for the range %q", asked)
						}
						if tt.wrong {
							from -= 10
						}
						part, status = text[from:], http.StatusPartialContent
						w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(text)-1, len(text)))
					} else if tt.zip && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
						w.Header().Set("Content-Encoding", "gzip")
						part = packed.Bytes()
					}
					w.Header().Set("Content-Length", strconv.Itoa(len(part)))
					w.WriteHeader(status)
					if connections <= 3 {
						part = part[:min(len(part)*connections/5, len(part)-1)]
					}
					_, _ = w.Write(part) // Fewer bytes than announced break the connection.
				})
				mustBeWhole(t, file, lines, err, text)
				if connections < 4 {
					t.Errorf("%d connections; want one after each break", connections)
				}
			})
		})
	}
}

// TestSilentStorageIsLeft: a connection that stays open and sends nothing.
func TestSilentStorageIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		connections := 0
		began := time.Now()
		file, lines, err := readFile(t, func(w http.ResponseWriter, r *http.Request) {
			text := jsonl(3000)
			if connections++; connections == 1 {
				w.Header().Set("Content-Length", strconv.Itoa(len(text)))
				_, _ = w.Write(text[:len(text)/2])
				w.(http.Flusher).Flush()
				<-r.Context().Done()
				return
			}
			_, _ = w.Write(text)
		})
		mustBeWhole(t, file, lines, err, jsonl(3000))
		if passed := time.Since(began); passed < fileSilence || passed > 2*fileSilence {
			t.Errorf("it took %v; want the silence's bound, and little more", passed)
		}
	})
}

// TestBulkFileThatIsNotGivenOut: an expired address is no reason to try again.
func TestBulkFileThatIsNotGivenOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		requests := 0
		_, _, err := readFile(t, func(w http.ResponseWriter, r *http.Request) {
			requests++
			http.Error(w, "<Error><StringToSign>very-secret</StringToSign></Error>", http.StatusBadRequest)
		})
		if ClassOf(err) != ClassInvalid || requests != 1 {
			t.Errorf("%d requests, then %v", requests, err)
		}
	})
}

// TestStorageThatIsDownIsGivenUp, and says so without the address.
func TestStorageThatIsDownIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		requests := 0
		_, _, err := readFile(t, func(http.ResponseWriter, *http.Request) {
			requests++
			panic(http.ErrAbortHandler)
		})
		if ClassOf(err) != ClassRetry || requests < maxAttempts {
			t.Errorf("%d requests, then %v", requests, err)
		}
	})
}

// TestBulkFileNeverRedirects: the next host would see the signed address.
func TestBulkFileNeverRedirects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, err := readFile(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Host != "storage.example" {
				t.Errorf("followed to %s, with the Referer %q", r.Host, r.Referer())
			}
			http.Redirect(w, r, "http://elsewhere.example/", http.StatusFound)
		})
		if err == nil {
			t.Error("a redirect is taken for a file")
		}
	})
}

func TestBulkFilesThatAreNotWhole(t *testing.T) {
	for name, text := range map[string]string{
		"cut within a line": `{"id":"gid:\/\/shopify\/Product\/1"}` + "\n" + `{"id":"gid:\/\/sho`,
		"cut before an end": `{"id":"gid:\/\/shopify\/Product\/1"}`,
		"no object":         "<html>\n",
		"no id":             `{"title":"x"}` + "\n",
		"a line too long":   `{"id":"` + strings.Repeat("x", maxBulkLine) + `"}` + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if _, _, err := readFile(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) }); err == nil {
					t.Error("the file is taken for whole")
				}
			})
		})
	}
}

func TestFileHeldAgainstCounters(t *testing.T) {
	operation := BulkOperation{Objects: 4, Roots: 2, Size: 100}
	for file, whole := range map[BulkFile]bool{
		{Lines: 4, Roots: 2, Size: 100}: true, {Lines: 3, Roots: 2, Size: 100}: false, {Lines: 4, Roots: 1, Size: 100}: false,
		{Lines: 4, Roots: 2, Size: 99}: false, {}: false,
	} {
		if err := file.Matches(operation); (err == nil) != whole {
			t.Errorf("%+v against %+v: %v", file, operation, err)
		}
	}
}

func TestHowOperationsEnd(t *testing.T) {
	file := secret.New(signedAddress)
	for name, tt := range map[string]struct {
		operation BulkOperation
		class     Class // Empty: it has a whole answer.
	}{
		"completed":                      {BulkOperation{Status: "COMPLETED", Objects: 3, address: file}, ""},
		"completed, nothing found":       {BulkOperation{Status: "COMPLETED"}, ""},
		"completed, objects and no file": {BulkOperation{Status: "COMPLETED", Objects: 3}, ClassRetry},
		"canceled":                       {BulkOperation{Status: "CANCELED"}, ClassRetry},
		"expired":                        {BulkOperation{Status: "EXPIRED", Objects: 3}, ClassRetry},
		"failed with a part":             {BulkOperation{Status: "FAILED", ErrorCode: "TIMEOUT", Objects: 3, Partial: true}, ClassRetry},
		"denied":                         {BulkOperation{Status: "FAILED", ErrorCode: "ACCESS_DENIED"}, ClassDenied},
		"a status to come":               {BulkOperation{Status: "PAUSED"}, ClassRetry},
	} {
		if got := ClassOf(tt.operation.Failure("x.myshopify.com")); got != tt.class {
			t.Errorf("%s: %q; want %q", name, got, tt.class)
		}
	}
}

// TestBulkUserErrors: a sixth operation is a matter of waiting, a refused query is not.
func TestBulkUserErrors(t *testing.T) {
	for code, busy := range map[string]bool{"OPERATION_IN_PROGRESS": true, "LIMIT_REACHED": true, "INVALID": false} {
		synctest.Test(t, func(t *testing.T) {
			c := testClient(t, func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprintf(w, `{"data":{"bulkOperationRunQuery":{"bulkOperation":null,"userErrors":[{"field":null,"code":%q,"message":"No."}]}}}`, code)
			})
			_, err := c.StartBulk(t.Context(), "{products{edges{node{id}}}}")
			if err == nil || errors.Is(err, ErrBulkBusy) != busy {
				t.Errorf("%s: %v", code, err)
			}
		})
	}
}

// TestTakeEndsTheReading: the caller's error comes back, and nothing more is read.
func TestTakeEndsTheReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testClient(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(jsonl(5000)) })
		full := errors.New("disk full")
		batches := 0
		_, err := c.ReadBulkFile(context.Background(), BulkOperation{address: secret.New(signedAddress)}, func([]BulkLine) error {
			batches++
			return full
		})
		if !errors.Is(err, full) || batches != 1 {
			t.Errorf("%d batches, then %v", batches, err)
		}
	})
}
