package simulator_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"stockroom/internal/simulator"
)

// TestHTTPSByTheShopsOwnName: a client that trusts the authority and finds the
// shop's host here needs nothing else changed.
func TestHTTPSByTheShopsOwnName(t *testing.T) {
	const domain = "secure-shop.myshopify.com"
	sim := simulator.New(simulator.Config{Apps: []simulator.App{{ClientID: "key", Secrets: []string{"hush"}}}})
	shop, err := sim.AddShop(domain, simulator.Catalogue{Name: "Secure Shop", Products: 1})
	if err != nil {
		t.Fatal(err)
	}
	token, err := shop.IssueToken("key", "read_products")
	if err != nil {
		t.Fatal(err)
	}
	authority, err := simulator.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: sim.Handler()}
	go server.Serve(authority.Listener(plain))
	defer server.Close()

	trusted := x509.NewCertPool()
	if !trusted.AppendCertsFromPEM(authority.PEM()) {
		t.Fatal("the authority's certificate is not PEM")
	}
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: trusted},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, network, plain.Addr().String())
		},
	}}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+domain+"/admin/api/2026-10/graphql.json",
		strings.NewReader(`{"query":"{shop{name}}"}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Shopify-Access-Token", token)
	reply, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	if err != nil || reply.StatusCode != http.StatusOK || !strings.Contains(string(body), `"Secure Shop"`) {
		t.Errorf("answered %d, %v: %s", reply.StatusCode, err, body)
	}

	byAddress, err := client.Get("https://" + plain.Addr().String() + "/")
	if err != nil {
		t.Fatalf("by its address: %v", err)
	}
	byAddress.Body.Close()

	// Who does not trust the authority is not talked to.
	stranger := &http.Client{Transport: &http.Transport{DialContext: client.Transport.(*http.Transport).DialContext}}
	defer stranger.CloseIdleConnections()
	if reply, err := stranger.Get("https://" + domain + "/"); err == nil {
		reply.Body.Close()
		t.Error("a client that trusts no authority of ours was satisfied")
	}
}
