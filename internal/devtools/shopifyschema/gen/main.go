// Command gen generates package admin's types from its operations and Shopify's
// published schema. It is run by go generate, in the folder of genqlient.yaml.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/Khan/genqlient/generate"

	"stockroom/internal/devtools/shopifyschema"
	"stockroom/internal/shopify/admin"
)

// nodes are the types that operations read by nodes(ids:).
var nodes = []string{
	"Shop", "Location", "Product", "ProductVariant", "InventoryItem", "Collection", "Order",
}

func main() {
	if err := run("."); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(dir string) error {
	files, err := generated(dir)
	if err != nil {
		return err
	}
	for path, content := range files {
		if err := shopifyschema.WriteAtomic(path, content); err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
	}
	return nil
}

// generated returns the files to write, by path.
func generated(dir string) (map[string][]byte, error) {
	data, err := shopifyschema.Introspection(admin.Version)
	if err != nil {
		return nil, err
	}
	sdl, err := shopifyschema.SDLForGeneration(data, nodes...)
	if err != nil {
		return nil, err
	}
	cache, err := shopifyschema.CacheDir()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(cache, "generate_"+admin.Version+".graphql")
	if err := shopifyschema.WriteAtomic(path, []byte(sdl)); err != nil {
		return nil, fmt.Errorf("write schema for generation: %w", err)
	}
	config, err := generate.ReadAndValidateConfig(filepath.Join(dir, "genqlient.yaml"))
	if err != nil {
		return nil, fmt.Errorf("read genqlient.yaml: %w", err)
	}
	config.Schema = generate.StringList{path}
	files, err := generate.Generate(config)
	if err != nil {
		return nil, fmt.Errorf("generate: %w", err)
	}
	return files, nil
}
