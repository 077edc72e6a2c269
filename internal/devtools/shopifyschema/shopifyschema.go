// Package shopifyschema fetches Shopify's published Admin API schemas and turns
// them into SDL, for code generation and for tests.
//
// It promises that a schema is downloaded once a machine, that parallel callers
// do not disturb each other, and that a half-written download is never read. It
// is for development alone: the service neither imports nor needs it.
package shopifyschema

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// The npm package that Shopify publishes its schemas in. It is packed rather
// than installed: installing pulls in all of Shopify's command line.
const (
	npmPackage   = "@shopify/dev-mcp@1.16.0"
	fetchTimeout = 5 * time.Minute
)

// CacheDir is where downloads and generated SDL are kept, outside the tree.
func CacheDir() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the user's cache folder: %w", err)
	}
	dir := filepath.Join(base, "stockroom")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make cache folder: %w", err)
	}
	return dir, nil
}

// Introspection returns the introspection JSON of an Admin API version, such as
// 2026-10. The first call on a machine needs npm and the network.
func Introspection(version string) ([]byte, error) {
	dir, err := CacheDir()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "admin_"+version+".json")
	data, err := os.ReadFile(path)
	if err == nil {
		return data, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read cached schema %s: %w", version, err)
	}
	if data, err = fetch(dir, version); err != nil {
		return nil, fmt.Errorf("fetch schema %s: %w", version, err)
	}
	if err := WriteAtomic(path, data); err != nil {
		return nil, fmt.Errorf("cache schema %s: %w", version, err)
	}
	return data, nil
}

// fetch packs the npm package into a folder of its own, so that two processes
// never write one file, and reads the schema from it.
func fetch(dir, version string) ([]byte, error) {
	work, err := os.MkdirTemp(dir, "npm-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, "npm", "pack", "--silent", npmPackage)
	command.Dir = work
	if out, err := command.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("npm pack %s: %w: %.500s", npmPackage, err, out)
	}
	packed, err := filepath.Glob(filepath.Join(work, "*.tgz"))
	if err != nil || len(packed) != 1 {
		return nil, fmt.Errorf("npm pack %s left %d archives, want 1", npmPackage, len(packed))
	}
	return extract(packed[0], "package/dist/data/admin_"+version+".json.gz")
}

// extract reads one gzipped file out of a gzipped tar archive.
func extract(archive, name string) ([]byte, error) {
	file, err := os.Open(archive)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", archive, err)
	}
	for entries := tar.NewReader(unzipped); ; {
		entry, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%s has no %s", npmPackage, name)
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", archive, err)
		}
		if entry.Name != name {
			continue
		}
		content, err := gzip.NewReader(entries)
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", name, err)
		}
		data, err := io.ReadAll(content)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		if !json.Valid(data) {
			return nil, fmt.Errorf("%s is not JSON", name)
		}
		return data, nil
	}
}

// WriteAtomic puts a whole file in place, or none.
func WriteAtomic(path string, data []byte) error {
	temp, err := os.CreateTemp(filepath.Dir(path), ".tmp-")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	if _, err := temp.Write(data); err != nil {
		temp.Close()
		return err
	}
	if err := temp.Close(); err != nil {
		return err
	}
	return os.Rename(temp.Name(), path)
}
