package simulator_test

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stockroom/internal/simulator"
)

// secured serves a world by TLS, as stockroom sim --tls does, and returns its
// address and the file with the certificate to trust.
func secured(t *testing.T, w *world) (address, certificate string) {
	t.Helper()
	authority, err := simulator.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: w.Handler()}
	go server.Serve(authority.Listener(plain))
	t.Cleanup(func() { server.Close() })
	certificate = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(certificate, authority.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	return "https://" + plain.Addr().String(), certificate
}

// Clients of Node find https://{shop} by their environment alone.
func TestNodeClientsWorkByTheirEnvironmentAlone(t *testing.T) {
	const products = 30
	callback := []string{""}
	w := newWorld(t, simulator.Catalogue{Products: products}, func(config *simulator.Config) {
		config.AutoConsent = true
		config.Apps[0].Secrets = []string{secret}
		config.Apps[0].RedirectURIs = callback
	})
	address, certificate := secured(t, w)
	p := run(t, "https.mjs", "NODE_EXTRA_CA_CERTS="+certificate, "NODE_USE_ENV_PROXY=1", "HTTPS_PROXY="+address, "NO_PROXY=127.0.0.1")
	var app struct{ URL string }
	p.expect("listening", &app)
	callback[0] = app.URL + "/auth/callback" // The app's address is known only now.
	p.tell(map[string]any{"shop": domain, "clientID": clientID, "secret": secret})
	var oauth struct{ Scope string }
	p.expect("oauth", &oauth)
	if oauth.Scope != "read_products" {
		t.Errorf("granted %q", oauth.Scope)
	}
	for _, step := range []string{"asked", "others"} {
		var answer struct {
			Shop     string
			Products int
		}
		p.expect(step, &answer)
		if answer.Shop != domain || answer.Products != products {
			t.Errorf("%s: %+v", step, answer)
		}
	}
	p.end()
}

// The tunnel leads to what is simulated and nowhere else.
func TestTheTunnelLeadsToShopsAlone(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 1}, nil)
	address, certificate := secured(t, w)
	pem, err := os.ReadFile(certificate)
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(pem)
	for _, step := range []struct {
		proxy, target, refusal string
	}{
		{address, "https://" + domain + "/", ""},
		{address, "https://graph.facebook.com/v26.0/me", ""},
		{address, "https://www.facebook.com/v26.0/dialog/oauth", ""},
		{address, "https://" + domain + ":4010/", "Forbidden"},
		{address, "https://example.com/", "Forbidden"},
		{address, strings.Replace(w.url, "http:", "https:", 1), "Forbidden"},
		{w.url, "https://" + domain + "/", "Not Implemented"},
	} {
		proxy, err := url.Parse(step.proxy)
		if err != nil {
			t.Fatal(err)
		}
		client := &http.Client{Transport: &http.Transport{
			Proxy: http.ProxyURL(proxy), TLSClientConfig: &tls.Config{RootCAs: trusted}, ForceAttemptHTTP2: true,
		}}
		response, err := client.Get(step.target)
		switch {
		case err == nil && step.refusal != "":
			t.Errorf("%s by %s: status %d", step.target, step.proxy, response.StatusCode)
		case err != nil && (step.refusal == "" || !strings.Contains(err.Error(), step.refusal)):
			t.Errorf("%s by %s: %v", step.target, step.proxy, err)
		}
		if err == nil {
			response.Body.Close()
		}
		client.CloseIdleConnections()
	}
}
