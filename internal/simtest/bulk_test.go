package simtest

import (
	"encoding/json"
	"io"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// gathering is a bulk operation of a run, as the wire tells of it: what Shopify
// meant to hand out, and whether it came.
type gathering struct {
	root   string // The list that its query asks for.
	Status string `json:"status"`
	Count  string `json:"objectCount"`
	Size   string `json:"fileSize"` // What was meant.
	came   int64  // The longest file that came to its end.
}

// whole tells whether all that the operation gathered has come.
func (g *gathering) whole() bool {
	size, err := strconv.ParseInt(g.Size, 10, 64)
	if err != nil {
		return g.Status == "COMPLETED" && g.Count == "0" // There is nothing to hand out.
	}
	return g.Status == "COMPLETED" && g.came == size
}

// rootField is the first field of a query of one.
var rootField = regexp.MustCompile(`^\s*query[^{]*\{\s*(\w+)`)

func rootOf(query string) string {
	if found := rootField.FindStringSubmatch(query); found != nil {
		return found[1]
	}
	return ""
}

// bulkStarted and bulkTold note what a run's calls for bulk operations were answered.
func (w *world) bulkStarted(host string, variables, body []byte) {
	var asked struct {
		Query string `json:"query"`
	}
	var answer struct {
		Data struct {
			Start struct {
				Operation *struct {
					ID string `json:"id"`
				} `json:"bulkOperation"`
			} `json:"bulkOperationRunQuery"`
		} `json:"data"`
	}
	_ = json.Unmarshal(variables, &asked)
	_ = json.Unmarshal(body, &answer)
	if answer.Data.Start.Operation == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gathering(host, answer.Data.Start.Operation.ID).root = rootOf(asked.Query)
}

func (w *world) bulkTold(host string, body []byte) {
	var answer struct {
		Data struct {
			Operation json.RawMessage `json:"bulkOperation"`
		} `json:"data"`
	}
	var id struct {
		ID string `json:"id"`
	}
	_ = json.Unmarshal(body, &answer)
	if json.Unmarshal(answer.Data.Operation, &id) != nil || id.ID == "" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	g := w.gathering(host, id.ID)
	g.Size = ""
	_ = json.Unmarshal(answer.Data.Operation, g)
}

// gathering is what is known of an operation; mu is held.
func (w *world) gathering(host, id string) *gathering {
	all := w.gatherings[host]
	if all == nil {
		all = map[string]*gathering{}
		w.gatherings[host] = all
	}
	if all[id] == nil {
		all[id] = &gathering{}
	}
	return all[id]
}

// missingFiles are the lists that a shop's run asked for in bulk, of which no
// file came whole and no page was read instead. mu is held.
func (w *world) missingFiles(host string) (lists []string) {
	came := map[string]bool{}
	for _, g := range w.gatherings[host] {
		came[g.root] = came[g.root] || g.whole()
	}
	for root, whole := range came {
		if !whole && !w.paged[host][root] {
			lists = append(lists, "the file of "+root)
		}
	}
	return lists
}

// counted is a bulk file on its way.
type counted struct {
	io.ReadCloser
	read  int64
	ended func(bytes int64)
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.read += int64(n)
	if err == io.EOF && c.ended != nil {
		c.ended(c.read)
		c.ended = nil
	}
	return n, err
}

// fileComes notes how much of a bulk file comes.
func (w *world) fileComes(l *life, location string, body io.ReadCloser) io.ReadCloser {
	id := "gid://shopify/BulkOperation/" + strings.TrimSuffix(path.Base(location), ".jsonl")
	return &counted{ReadCloser: body, ended: func(bytes int64) {
		if l.isDead() {
			return
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.counts["bulk files"]++
		for _, all := range w.gatherings {
			if g := all[id]; g != nil {
				g.came = max(g.came, bytes)
			}
		}
	}}
}
