package shopify

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"stockroom/internal/mirror"
)

const (
	// bulkBatchLines and bulkBatchBytes bound what is handed over at a time, and
	// so the memory that reading a file of any size takes.
	bulkBatchLines = 500
	bulkBatchBytes = 4 << 20

	// maxBulkLine bounds a line: Shopify's longest texts are far below.
	maxBulkLine = 16 << 20

	// fileSilence is how long the storage may send nothing before the connection
	// is given up, and another continues where it was.
	fileSilence = time.Minute
)

// BulkFile is what was read of an operation's file.
type BulkFile struct{ Lines, Roots, Size int64 }

// Matches tells how the file differs from what the operation counted; nil where
// it does not.
func (f BulkFile) Matches(o BulkOperation) error {
	switch {
	case f.Size != o.Size:
		return fmt.Errorf("its file has %d bytes of %d", f.Size, o.Size)
	case f.Lines != o.Objects:
		return fmt.Errorf("its file has %d lines, it counts %d objects", f.Lines, o.Objects)
	case f.Roots != o.Roots:
		return fmt.Errorf("its file has %d lines without a parent, it counts %d", f.Roots, o.Roots)
	}
	return nil
}

// errCutLine says that a file ends within a line.
var errCutLine = errors.New("the file ends within a line")

// ReadBulkFile streams the file of an operation, in batches of lines. A
// connection that breaks is made again and continues where it was. An error of
// take ends the reading and is returned as it is.
//
// The file lies with another host than the shop: no token goes there, and its
// address, which is a credential, is in no error.
func (c *Client) ReadBulkFile(ctx context.Context, o BulkOperation, take func([]BulkLine) error) (BulkFile, error) {
	var file BulkFile
	if !o.HasFile() {
		return file, nil
	}
	download, err := c.download(ctx, o)
	if err != nil {
		return file, err
	}
	defer download.Close()
	reader := bufio.NewReaderSize(download, 256<<10)
	var batch []BulkLine
	bytes := 0
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		full := batch
		batch, bytes = nil, 0
		return take(full)
	}
	for {
		text, err := readLine(reader)
		file.Size += int64(len(text))
		if err == io.EOF { // Bare: a connection refused may hold one too, and is no end.
			if len(text) > 0 {
				err = errCutLine
			} else {
				err = nil
			}
			return file, errors.Join(flush(), err)
		}
		if err != nil {
			return file, errors.Join(flush(), fmt.Errorf("read the file of bulk operation %s: %w", o.ID.Number(), err))
		}
		var head struct {
			ID     mirror.GID `json:"id"`
			Parent mirror.GID `json:"__parentId"`
		}
		if err := json.Unmarshal(text, &head); err != nil {
			return file, errors.Join(flush(), fmt.Errorf("line %d of bulk operation %s is no object: %w", file.Lines+1, o.ID.Number(), err))
		}
		if head.ID == "" {
			return file, errors.Join(flush(), fmt.Errorf("line %d of bulk operation %s has no id", file.Lines+1, o.ID.Number()))
		}
		if file.Lines++; head.Parent == "" {
			file.Roots++
		}
		batch = append(batch, BulkLine{head.ID, head.Parent, text})
		if bytes += len(text); len(batch) >= bulkBatchLines || bytes >= bulkBatchBytes {
			if err := flush(); err != nil {
				return file, err
			}
		}
	}
}

// readLine reads a line with its end into memory of its own. At the end of the
// file it returns io.EOF, with what stands there without an end.
func readLine(reader *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := reader.ReadSlice('\n')
		if len(line)+len(part) > maxBulkLine {
			return line, fmt.Errorf("a line is longer than %d bytes", maxBulkLine)
		}
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

// download is a file's text, over as many connections as it takes.
type download struct {
	ctx     context.Context
	http    *http.Client
	address string
	client  *Client
	name    string // For errors: not the address.

	body   io.ReadCloser
	cancel context.CancelFunc
	idle   *time.Timer
	offset int64 // Of the text, after any decompression.
	whole  bool  // Parts cannot be asked for: what was read is read again and dropped.
	failed int   // Connections in a row that brought nothing.
}

func (c *Client) download(ctx context.Context, o BulkOperation) (*download, error) {
	address, err := url.Parse(o.address.Reveal())
	if err != nil || address.Host == "" || address.Scheme != "https" && address.Scheme != "http" {
		return nil, errors.New("the file's address is not an address") // Not what it is: see ReadBulkFile.
	}
	if address.Scheme == "http" && strings.HasPrefix(c.endpoint, "https:") {
		return nil, errors.New("the file's address is not encrypted, the shop's is")
	}
	own := *c.http
	own.Timeout = 0 // A large file may take hours. Silence is what is bounded.
	return &download{ctx: ctx, http: &own, address: address.String(), client: c, name: "file of bulk operation " + o.ID.Number()}, nil
}

// Read implements io.Reader.
func (d *download) Read(p []byte) (int, error) {
	for {
		if d.body == nil {
			if err := d.connect(); err != nil {
				if again := d.again(err); again != nil {
					return 0, again
				}
				continue
			}
		}
		d.idle.Reset(fileSilence)
		n, err := d.body.Read(p)
		d.offset += int64(n)
		if n > 0 {
			d.failed = 0
			return n, nil // An error comes again.
		}
		if err == io.EOF {
			return 0, io.EOF
		}
		if err != nil {
			d.hangUp()
			if again := d.again(withoutAddress(err)); again != nil {
				return 0, again
			}
		}
	}
}

// again waits before the next connection, or returns why there is none.
func (d *download) again(err error) error {
	if d.ctx.Err() != nil {
		return d.ctx.Err()
	}
	if class := ClassOf(err); class != "" && class != ClassRetry && class != ClassThrottled {
		return err
	}
	if d.failed++; d.failed >= maxAttempts {
		return err
	}
	d.client.log.Debug("the storage broke off, trying again", logOperation, d.name, "attempt", d.failed, "offset", d.offset, logError, err)
	return sleep(d.ctx, backoff(d.failed))
}

// connect asks for the file from the offset on.
func (d *download) connect() error {
	ctx, cancel := context.WithCancel(d.ctx)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.address, nil)
	if err != nil {
		cancel()
		return errors.New("the file's address is not an address")
	}
	part := d.offset > 0 && !d.whole
	if part {
		// As plain text: a range of a compressed one cannot be unpacked.
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", d.offset))
		request.Header.Set("Accept-Encoding", "identity")
	}
	fail := func(class Class, status int, err error) error {
		cancel()
		return &Error{Class: class, Shop: d.client.cfg.Shop, Operation: d.name, Status: status, Err: err}
	}
	idle := time.AfterFunc(fileSilence, cancel)
	reply, err := d.http.Do(request)
	if err != nil {
		idle.Stop()
		return fail(ClassRetry, 0, withoutAddress(err))
	}
	give := func() {
		d.body, d.cancel, d.idle = reply.Body, cancel, idle
	}
	refuse := func(class Class, err error) error {
		idle.Stop()
		reply.Body.Close()
		return fail(class, reply.StatusCode, err)
	}
	switch {
	case reply.StatusCode == http.StatusPartialContent && part && startsAt(reply.Header, d.offset):
		give()
		return nil
	case reply.StatusCode == http.StatusPartialContent, reply.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		d.whole = true
		return refuse(ClassRetry, errors.New("another part came than was asked for"))
	case reply.StatusCode == http.StatusOK:
		give()
		// All of it again: what was read already is passed over.
		for left := d.offset; left > 0; {
			d.idle.Reset(fileSilence)
			n, err := io.CopyN(io.Discard, d.body, min(left, bulkBatchBytes))
			if left -= n; err != nil {
				d.hangUp()
				return fail(ClassRetry, 0, fmt.Errorf("pass over what was read: %w", withoutAddress(err)))
			}
		}
		return nil
	case reply.StatusCode == http.StatusRequestTimeout || reply.StatusCode == http.StatusTooManyRequests || reply.StatusCode >= 500:
		return refuse(ClassRetry, nil)
	default:
		// The body is not shown: storages repeat what was signed.
		return refuse(ClassInvalid, errors.New("the storage does not give it out"))
	}
}

// startsAt reports whether a part begins where it was asked to, as plain text.
func startsAt(header http.Header, offset int64) bool {
	unit, _ := strings.CutPrefix(header.Get("Content-Range"), "bytes ")
	start, _, _ := strings.Cut(unit, "-")
	encoding := header.Get("Content-Encoding")
	return start == strconv.FormatInt(offset, 10) && (encoding == "" || encoding == "identity")
}

func (d *download) hangUp() {
	if d.body != nil {
		d.idle.Stop()
		d.body.Close()
		d.cancel()
		d.body = nil
	}
}

// Close ends the download.
func (d *download) Close() error {
	d.hangUp()
	return nil
}

// withoutAddress takes the address out of an error of package net/http.
func withoutAddress(err error) error {
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return failed.Err
	}
	return err
}
