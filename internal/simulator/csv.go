package simulator

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// CSVProduct is a product as a file describes it.
type CSVProduct struct {
	Handle   string
	Spec     ProductSpec // Its variants say nothing of stock.
	GiftCard bool
	Variants []CSVVariant
}

// CSVVariant is what a file says of a variant that VariantSpec has no place for.
type CSVVariant struct {
	Quantity int64 // Units; they lie at the shop's first location.
	TaxFree  bool
}

// encoded is the text of a file, which spreadsheets on older machines save in
// an encoding of their own country. Which one cannot be told, so none is guessed.
func encoded(r io.Reader) (*strings.Reader, error) {
	raw, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	line := 1
	for rest := raw; len(rest) > 0; {
		char, size := utf8.DecodeRune(rest)
		switch {
		case char == utf8.RuneError && size == 1:
			return nil, fmt.Errorf("line %d: the byte 0x%X is not UTF-8: save the file as CSV UTF-8, or convert it, as by iconv -f LATIN1 -t UTF-8", line, rest[0])
		case char == '\n':
			line++
		}
		rest = rest[size:]
	}
	return strings.NewReader(string(raw)), nil
}

// csvStatuses are the values of the column Status.
var csvStatuses = map[string]string{"": "ACTIVE", "active": "ACTIVE", "draft": "DRAFT", "archived": "ARCHIVED", "unlisted": "UNLISTED"}

// csvNames are the older names of the columns, by the newer ones, which files
// have since about 2025; both are read. Lower case, as names differ in more than
// that. "Published on online store" and "Continue selling when out of stock" hold
// the same words as before.
var csvNames = map[string]string{
	"url handle": "handle", "description": "body (html)", "body html": "body (html)", "published on online store": "published",
	"sku": "variant sku", "barcode": "variant barcode", "price": "variant price", "compare-at price": "variant compare at price",
	"charge tax": "variant taxable", "inventory tracker": "variant inventory tracker", "inventory quantity": "variant inventory qty",
	"continue selling when out of stock": "variant inventory policy", "requires shipping": "variant requires shipping",
	"weight value (grams)": "variant grams", "product image url": "image src",
}

// ReadCSV reads products in the form in which Shopify exports them, under the
// older names of its columns or the newer: rows of one handle make one product,
// whose first row has what is the product's; each row may add an image, and
// those without a price add nothing else. The text is UTF-8. Columns that are not known are passed over, and only the handle and
// Title must be there. Source: "Using CSV files to import and export products",
// Shopify Help Center.
//
// An error names the line, counted from 1, and the column.
func ReadCSV(r io.Reader) ([]CSVProduct, error) {
	text, err := encoded(r)
	if err != nil {
		return nil, fmt.Errorf("read product CSV: %w", err)
	}
	reader := csv.NewReader(text)
	reader.FieldsPerRecord = -1 // Spreadsheets leave out empty cells at the end.
	head, err := reader.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("read product CSV: the file is empty")
	}
	if err != nil {
		return nil, fmt.Errorf("read product CSV: %w", err)
	}
	c := csvReader{columns: make(map[string]csvColumn), known: make(map[string]int), values: make(map[string]bool)}
	for i, name := range head {
		name = strings.TrimSpace(strings.TrimPrefix(name, "\ufeff"))
		key := strings.ToLower(name)
		if older, ok := csvNames[key]; ok {
			key = older
		}
		if _, twice := c.columns[key]; !twice && key != "" {
			c.columns[key] = csvColumn{i, name}
		}
	}
	for _, name := range []string{"Handle", "Title"} {
		if !c.has(name) {
			return nil, fmt.Errorf("read product CSV: line 1: no column %s: is this a product export of Shopify?", map[string]string{
				"Handle": "Handle or URL handle", "Title": "Title"}[name])
		}
	}
	for {
		row, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read product CSV: %w", err) // Names the line by itself.
		}
		c.row = row
		c.line, _ = reader.FieldPos(0)
		if err := c.add(); err != nil {
			return nil, fmt.Errorf("read product CSV: line %d: %w", c.line, err)
		}
	}
	if len(c.products) == 0 {
		return nil, errors.New("read product CSV: no products below the line of headings")
	}
	for i := range c.products {
		if p := &c.products[i]; len(p.Spec.Variants) == 0 { // Rows without prices.
			p.Spec.Options = nil
			p.Spec.Variants, p.Variants = []VariantSpec{{}}, []CSVVariant{{}}
		}
	}
	return c.products, nil
}

// csvColumn is a column and the name that the file gives it.
type csvColumn struct {
	at   int
	name string
}

type csvReader struct {
	columns  map[string]csvColumn // By older name in lower case.
	products []CSVProduct
	known    map[string]int  // Places of products by handle.
	values   map[string]bool // Handle and option values that were.
	row      []string
	line     int
}

// cell is a cell of the row, "" where the file has none.
func (c *csvReader) cell(name string) string {
	if column, ok := c.columns[strings.ToLower(name)]; ok && column.at < len(c.row) {
		return strings.TrimSpace(c.row[column.at])
	}
	return ""
}

// called is what the file calls a column, for complaints.
func (c *csvReader) called(name string) string {
	if column, ok := c.columns[strings.ToLower(name)]; ok {
		return column.name
	}
	return name
}

func (c *csvReader) has(name string) bool { _, ok := c.columns[strings.ToLower(name)]; return ok }

// truth reads a cell that is TRUE or FALSE; an empty one is as given.
func (c *csvReader) truth(name string, empty bool) (bool, error) {
	switch text := c.cell(name); strings.ToLower(text) {
	case "":
		return empty, nil
	case "true":
		return true, nil
	case "false":
		return false, nil
	default:
		return false, fmt.Errorf("%s: %q is neither TRUE nor FALSE", c.called(name), text)
	}
}

// amount reads a cell that is a price; an empty one is zero.
func (c *csvReader) amount(name string) (Money, error) {
	text := c.cell(name)
	if text == "" {
		return 0, nil
	}
	m, err := parseMoney(text)
	if err != nil || m < 0 {
		return 0, fmt.Errorf("%s: %q is not an amount like 19.90", c.called(name), text)
	}
	return m, nil
}

// add takes a row.
func (c *csvReader) add() error {
	if !slices.ContainsFunc(c.row, func(cell string) bool { return strings.TrimSpace(cell) != "" }) {
		return nil
	}
	handle := c.cell("Handle")
	if handle == "" {
		return fmt.Errorf("the column %s is empty", c.called("Handle"))
	}
	at, known := c.known[handle]
	if !known {
		p, err := c.product(handle)
		if err != nil {
			return err
		}
		at = len(c.products)
		c.known[handle] = at
		c.products = append(c.products, p)
	}
	p := &c.products[at]
	if image := c.cell("Image Src"); p.Spec.ImageURL == "" {
		p.Spec.ImageURL = image
	} else if image != "" {
		p.Spec.Gallery = append(p.Spec.Gallery, image)
	}
	if known && c.cell("Variant Price") == "" && c.cell("Option1 Value") == "" && c.cell("Variant SKU") == "" {
		return nil // A further image.
	}
	return c.variant(p)
}

// product reads what is the product's.
func (c *csvReader) product(handle string) (CSVProduct, error) {
	p := CSVProduct{Handle: handle, Spec: ProductSpec{
		Title: c.cell("Title"), DescriptionHTML: c.cell("Body (HTML)"), Vendor: c.cell("Vendor"), ProductType: c.cell("Type"),
	}}
	if p.Spec.Title == "" {
		return p, fmt.Errorf("the column Title is empty, and this is the first row of handle %q", handle)
	}
	for tag := range strings.SplitSeq(c.cell("Tags"), ",") {
		if tag = strings.TrimSpace(tag); tag != "" {
			p.Spec.Tags = append(p.Spec.Tags, tag)
		}
	}
	status, ok := csvStatuses[strings.ToLower(c.cell("Status"))]
	if !ok {
		return p, fmt.Errorf("Status: %q is none of active, draft, archived, unlisted", c.cell("Status"))
	}
	p.Spec.Status = status
	published, err := c.truth("Published", true)
	if err != nil {
		return p, err
	}
	p.Spec.Unpublished = !published
	if p.GiftCard, err = c.truth("Gift Card", false); err != nil {
		return p, err
	}
	for _, name := range []string{"Option1 Name", "Option2 Name", "Option3 Name"} {
		if option := c.cell(name); option != "" {
			p.Spec.Options = append(p.Spec.Options, option)
		}
	}
	return p, nil
}

// variant reads what is the variant's.
func (c *csvReader) variant(p *CSVProduct) error {
	v := VariantSpec{SKU: strings.TrimPrefix(c.cell("Variant SKU"), "'"), Barcode: strings.TrimPrefix(c.cell("Variant Barcode"), "'")}
	if len(p.Spec.Variants) == maxVariants {
		return fmt.Errorf("handle %q has more than %d variants", p.Handle, maxVariants)
	}
	for i := range max(1, len(p.Spec.Options)) {
		name := fmt.Sprintf("Option%d Value", i+1)
		value := c.cell(name)
		switch {
		case value != "":
		case len(p.Spec.Options) == 0:
			value = defaultVariantTitle
		default:
			return fmt.Errorf("%s: it is empty, and handle %q has the option %q", c.called(name), p.Handle, p.Spec.Options[i])
		}
		v.Values = append(v.Values, value)
	}
	key := p.Handle + "\x00" + strings.Join(v.Values, "\x00")
	if c.values[key] {
		return fmt.Errorf("handle %q has the variant %q twice", p.Handle, strings.Join(v.Values, " / "))
	}
	c.values[key] = true
	var more CSVVariant
	for name, into := range map[string]*Money{"Variant Price": &v.Price, "Variant Compare At Price": &v.CompareAtPrice, "Cost per item": &v.Cost} {
		var err error
		if *into, err = c.amount(name); err != nil {
			return err
		}
	}
	if text := c.cell("Variant Inventory Qty"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return fmt.Errorf("%s: %q is not a whole number", c.called("Variant Inventory Qty"), text)
		}
		more.Quantity = n
	}
	// An empty tracker means that nobody counts.
	v.Untracked = c.has("Variant Inventory Tracker") && c.cell("Variant Inventory Tracker") == ""
	switch policy := strings.ToLower(c.cell("Variant Inventory Policy")); policy {
	case "", "deny":
	case "continue":
		v.Policy = "CONTINUE"
	default:
		return fmt.Errorf("%s: %q is neither deny nor continue", c.called("Variant Inventory Policy"), policy)
	}
	ships, err := c.truth("Variant Requires Shipping", true)
	if err != nil {
		return err
	}
	taxable, err := c.truth("Variant Taxable", true)
	if err != nil {
		return err
	}
	v.NoShipping, more.TaxFree = !ships, !taxable
	p.Spec.Variants = append(p.Spec.Variants, v)
	p.Variants = append(p.Variants, more)
	return nil
}

// fromCSV makes a product that a file describes, with its stock at the first location.
func (g *generator) fromCSV(from CSVProduct, at time.Time) *Product {
	s := g.shop
	spec := from.Spec
	spec.Variants = slices.Clone(spec.Variants)
	first := s.Locations.IDs()[0]
	for i := range spec.Variants {
		spec.Variants[i].Stock = map[int64]int64{first: from.Variants[i].Quantity}
	}
	p := s.newProduct(spec, at)
	p.Handle, p.GiftCard = from.Handle, from.GiftCard
	s.handles[p.Handle] = max(1, s.handles[p.Handle])
	for i, v := range p.Variants {
		v.Taxable = !from.Variants[i].TaxFree
	}
	return p
}
