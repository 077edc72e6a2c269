package simulator_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"stockroom/internal/simulator"
)

// browser is a tab of a real browser.
type browser struct {
	t   *testing.T
	ctx context.Context
	url string
}

func openBrowser(t *testing.T, url string) *browser {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Fatal("this test drives the page with Chromium, which is not there: install it with: scripts/need chromium (on Debian: sudo apt-get install -y chromium)")
	}
	// A user's data directory of its own is made and removed by the allocator.
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.Headless, chromedp.DisableGPU,
		chromedp.NoFirstRun, chromedp.WindowSize(1200, 900), chromedp.WSURLReadTimeout(time.Minute))
	for _, flag := range []string{"disable-quic", "disable-background-networking", "disable-component-update", "disable-sync"} {
		options = append(options, chromedp.Flag(flag, true))
	}
	ctx, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewContext(ctx)
	t.Cleanup(stop)
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(1200, 900)); err != nil { // Starts the browser, which a limit of time would stop.
		t.Fatal(err)
	}
	ctx, stop = context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(stop)
	return &browser{t, ctx, url}
}

func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.picture("failed")
		b.t.Fatal(err)
	}
}

func (b *browser) open(path string) { b.t.Helper(); b.do(chromedp.Navigate(b.url + path)) }

// follow does what leads to another page and waits until that is there.
func (b *browser) follow(by chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if _, err := chromedp.Run(b.ctx, chromedp.WaitEvent(page.LoadEventFired, nil, by)); err != nil {
		b.picture("failed")
		b.t.Fatal(err)
	}
}

func (b *browser) click(selector string) {
	b.t.Helper()
	b.follow(chromedp.Click(chromedp.CSS(selector)))
}

// fill writes into a field as a person does.
func (b *browser) fill(selector, text string) {
	b.t.Helper()
	b.do(chromedp.Clear(chromedp.CSS(selector)), chromedp.SendKeys(chromedp.CSS(selector), text))
}

// says waits until the page tells what a form did.
func (b *browser) says(want string) {
	b.t.Helper()
	got, err := chromedp.Run(b.ctx, chromedp.Text(chromedp.CSS(".said")))
	if err != nil || !strings.Contains(got, want) {
		b.picture("failed")
		b.t.Fatalf("the page says %q (%v), want %q", got, err, want)
	}
}

// becomes waits until an expression is true on the page as it is, without loading it again.
func (b *browser) becomes(expression string) {
	b.t.Helper()
	if _, err := chromedp.Run(b.ctx, chromedp.Poll[bool](expression)); err != nil {
		b.picture("failed")
		b.t.Fatalf("%s: %v", expression, err)
	}
}

func (b *browser) count(expression string) int {
	b.t.Helper()
	n, err := chromedp.Run(b.ctx, chromedp.Evaluate[int](expression))
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

// picture keeps what the page looks like; go test -artifacts shows where.
func (b *browser) picture(name string) {
	b.t.Helper()
	png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err == nil {
		err = os.WriteFile(filepath.Join(b.t.ArtifactDir(), name+".png"), png, 0o644)
	}
	if err != nil {
		b.t.Errorf("picture %s: %v", name, err)
	}
}

func TestPersonDrivesTheSimulatorInABrowser(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 40}, nil)
	w.subscribe(nil, "PRODUCTS_UPDATE")
	p := w.firstProduct()
	product := "/_sim/ui/shops/" + domain + "/products/" + strings.TrimPrefix(p.GID(), "gid://shopify/Product/")
	b := openBrowser(t, w.url)

	b.open("/")
	b.click(`.card h2 a`)
	b.fill(`#q`, p.Variants[0].SKU)
	b.follow(chromedp.SendKeys(chromedp.CSS(`#q`), "\n"))
	b.picture("products")
	b.click(`a[href="` + product + `"]`)
	b.fill(`input[name=price]`, "77.70")
	b.click(`.variants button.main`)
	b.says("price 77.70")
	b.picture("product")
	hooks := w.heard("products/update")
	if len(hooks) != 1 || !strings.Contains(string(hooks[0].raw), `"77.70"`) {
		t.Fatalf("the change of price was told of by %d webhooks", len(hooks))
	}

	b.open("/_sim/ui/webhooks")
	b.becomes(`document.querySelector('#log tbody tr').innerText.includes('products/update') && document.querySelector('#log .state').innerText === 'accepted'`)

	b.open("/_sim/ui/faults")
	b.fill(`#fail`, "1")
	b.do(chromedp.SendKeys(chromedp.CSS(`#lose`), "orders/create 0.5"))
	b.click(`button.main`)
	b.says("Saved.")
	b.picture("faults")
	b.open(product)
	b.fill(`input[name=price]`, "78.80")
	b.click(`.variants button.main`)
	b.says("price 78.80")

	// The log renews itself while it is looked at.
	b.open("/_sim/ui/webhooks")
	b.becomes(`document.querySelector('#log .state').innerText === 'waits for a retry' && document.querySelector('#log ol').innerText.includes('cut off')`)
	b.picture("retry")
	w.SetFaults(simulator.Faults{})
	b.click(`#log button`)
	b.says("Saved.")
	b.becomes(`document.querySelector('#log .state').innerText === 'accepted' && document.querySelectorAll('#log tbody tr:first-child ol li').length === 2`)
	b.picture("webhooks")
	if hooks := w.heard("products/update"); len(hooks) != 1 || !strings.Contains(string(hooks[0].raw), `"78.80"`) {
		t.Errorf("%d webhooks came after the retry", len(hooks))
	}

	b.open("/_sim/")
	b.fill(`#rate`, "20")
	b.click(`form[action="/_sim/ui/traffic"] button.main`)
	b.says("Saved.")
	b.becomes(`document.querySelectorAll('.log li').length > 5`)
	b.picture("shops")
	b.click(`form[action="/_sim/ui/traffic"] button:not(.main)`)
	b.says("Saved.")
	if got := w.Traffic().Rate; got != 0 {
		t.Errorf("traffic of %v after it was turned off", got)
	}

	// Each field has a label, and nothing is wider than a phone.
	b.do(chromedp.EmulateViewport(360, 740, chromedp.EmulateMobile))
	for _, path := range []string{"/_sim/", "/_sim/ui/shops/" + domain, product, "/_sim/ui/webhooks", "/_sim/ui/faults"} {
		b.open(path)
		if n := b.count(`[...document.querySelectorAll('input:not([type=hidden]),select,textarea')].filter(field => !field.labels.length).length`); n > 0 {
			t.Errorf("%s: %d fields without a label", path, n)
		}
		if n := b.count(`document.documentElement.scrollWidth`); n > 360 {
			t.Errorf("%s: %d pixels wide on a phone of 360", path, n)
		}
		b.picture("phone-" + strings.Trim(strings.ReplaceAll(path[len("/_sim/"):], "/", "-"), "-"))
	}
}
