package reconcile_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"stockroom/internal/mirror"
	"stockroom/internal/reconcile"
	"stockroom/internal/simulator"
	"stockroom/internal/store"
)

// TestScanThatBreaksOffJudgesNothing is P4 for a list that broke off after its
// first page. What it lacks is not even asked for by id: a read by id that says
// null would be right, and still the scan has not shown that anything is missing.
func TestScanThatBreaksOffJudgesNothing(t *testing.T) {
	b := newBench(t, simulator.Catalogue{Products: 10})
	b.mustRun("import")
	b.loseWebhooks()
	deleted := b.shop.Products.IDs()[0]
	b.edit(b.shop.DeleteProduct(deleted))
	b.pass(time.Hour)
	transport := &breaksOff{operation: "ScanProducts"}
	b.client = b.newClient(&http.Client{Transport: transport})
	task, report := b.sweep(reconcile.SweepArgs{Scan: true})
	if !transport.refused {
		t.Fatal("no second page was asked for: the test proves nothing")
	}
	if task.State != store.RunPartial || !strings.Contains(report.Text(), "could not be read to their end") {
		t.Errorf("the sweep ended %s:\n%s", task.State, report.Text())
	}
	if !b.visible(mirror.KindProduct, mirror.NewGID("Product", deleted)) {
		t.Error("a product was deleted by a scan that did not read the products to their end")
	}
	if transport.byID {
		t.Error("what the scan lacks was taken for missing and asked for by id")
	}
	if mark, scanned := b.marks()["scan"]; scanned {
		t.Errorf("a scan that broke off counts as one: %v", mark)
	}
}

// breaksOff claims a second page of a list, and refuses it.
type breaksOff struct {
	operation     string
	refused, byID bool
}

func (s *breaksOff) RoundTrip(request *http.Request) (*http.Response, error) {
	sent, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	answer := func(body []byte, header http.Header) *http.Response {
		return &http.Response{StatusCode: http.StatusOK, Header: header, Body: io.NopCloser(bytes.NewReader(body)), Request: request}
	}
	named := strings.Contains(string(sent), s.operation)
	if named && strings.Contains(string(sent), `"after":"`) {
		s.refused = true
		return answer([]byte(`{"errors":[{"message":"Access denied","extensions":{"code":"ACCESS_DENIED"}}]}`), http.Header{}), nil
	}
	s.byID = s.byID || strings.Contains(string(sent), "ReadProducts")
	request = request.Clone(request.Context())
	request.Body = io.NopCloser(bytes.NewReader(sent))
	reply, err := http.DefaultTransport.RoundTrip(request)
	if err != nil || !named {
		return reply, err
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	if err != nil {
		return nil, err
	}
	header := reply.Header.Clone()
	header.Del("Content-Length")
	return answer(bytes.Replace(body, []byte(`"hasNextPage":false`), []byte(`"hasNextPage":true`), 1), header), nil
}
