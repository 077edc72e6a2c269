package api

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

//go:embed docs.html
var docsHTML string

// docsPage renders the OpenAPI document once as a page that needs nothing from elsewhere.
func docsPage(document *huma.OpenAPI) http.HandlerFunc {
	var page bytes.Buffer
	if err := template.Must(template.New("docs").Parse(docsHTML)).Execute(&page, document); err != nil {
		panic(fmt.Sprintf("api: render /docs: %v", err)) // The page and the document are part of the program.
	}
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		_, _ = w.Write(page.Bytes()) // The reader may have gone.
	}
}
