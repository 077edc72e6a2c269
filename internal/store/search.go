package store

import (
	"fmt"
	"strings"

	"stockroom/internal/mirror"
)

// ProductEntry is a product in the read model that searches go by.
type ProductEntry struct {
	ID        mirror.GID
	Handle    string
	SortKey   string // The normalised title.
	Status    string
	Published bool
	Available bool // Some variant is for sale.
	Offers    []Offer
	Title     string // Tokens of the title, separated by spaces; see mirror.Tokens.
	Rest      string // Tokens of all else that a search may hit.
}

// Offer is a price at which some variant is to be had.
type Offer struct {
	Price     int64 // In millionths of the currency's unit.
	Available bool
}

// SaveProductEntries replaces the entries of these products.
func (t *Tx) SaveProductEntries(shop int64, entries []ProductEntry) error {
	ids := make([]mirror.GID, len(entries))
	for i, e := range entries {
		ids[i] = e.ID
	}
	if err := t.DropProductEntries(shop, ids); err != nil {
		return err
	}
	const columns = 7
	return chunks(entries, columns, func(part []ProductEntry) error {
		args := make([]any, 0, len(part)*columns)
		byID := make(map[mirror.GID]ProductEntry, len(part))
		for _, e := range part {
			byID[e.ID] = e
			args = append(args, shop, e.ID, e.Handle, e.SortKey, e.Status, e.Published, e.Available)
		}
		tokens := make([]any, 0, len(part)*3)
		var offers [][3]any
		err := t.each(`INSERT INTO product_search (shop_id, id, handle, sort_key, status, published, available)
			VALUES `+placeholders(1, len(part), columns)+` RETURNING rowid, id`, args, func(scan func(...any) error) error {
			var rowid int64
			var id mirror.GID
			err := scan(&rowid, &id)
			tokens = append(tokens, rowid, byID[id].Title, byID[id].Rest)
			for _, offer := range byID[id].Offers {
				offers = append(offers, [3]any{rowid, offer.Price, offer.Available})
			}
			return err
		})
		if err == nil {
			_, err = t.exec(`INSERT INTO product_tokens (rowid, title, rest) VALUES `+placeholders(1, len(part), 3), tokens...)
		}
		if err == nil {
			err = chunks(offers, 3, func(part [][3]any) error {
				args := make([]any, 0, len(part)*3)
				for _, offer := range part {
					args = append(args, offer[:]...)
				}
				_, err := t.exec(`INSERT INTO product_offers (product, price, available) VALUES `+placeholders(1, len(part), 3), args...)
				return err
			})
		}
		if err != nil {
			return fmt.Errorf("save %d product entries: %w", len(part), err)
		}
		return nil
	})
}

// DropProductEntries removes the entries of products that are not shown any more.
func (t *Tx) DropProductEntries(shop int64, ids []mirror.GID) error {
	return chunks(ids, 1, func(part []mirror.GID) error {
		var rowids []any
		err := t.each(`DELETE FROM product_search WHERE shop_id = $1 AND id IN `+in(2, len(part))+` RETURNING rowid`,
			append([]any{shop}, anys(part)...), func(scan func(...any) error) error {
				var rowid int64
				err := scan(&rowid)
				rowids = append(rowids, rowid)
				return err
			})
		if err == nil && len(rowids) > 0 {
			_, err = t.exec(`DELETE FROM product_tokens WHERE rowid IN `+in(1, len(rowids)), rowids...)
		}
		if err != nil {
			return fmt.Errorf("drop %d product entries: %w", len(part), err)
		}
		return nil
	})
}

// ProductQuery selects products. Zero values do not restrict.
type ProductQuery struct {
	Words     []Word // All must be there; the last one's last token may be a beginning.
	Available *bool  // Some variant is for sale, at a price within the bounds; or none is.
	Published bool   // Only what customers can see: published and ACTIVE.
	MinPrice  *int64
	MaxPrice  *int64
	After     ProductCursor
	Limit     int
}

// Word is a word to search for. Either way to put it will do.
type Word struct {
	Apart  [][]string // Its parts; the tokens of one must stand in a row.
	Joined string     // The parts as one token; empty for a word that nothing divides.
}

// MaxWords bounds the parts of all words of a search together: the cost of
// matching grows faster than they do.
const MaxWords = 32

// SearchWords are the words of a text that is searched for, each once.
func SearchWords(text string) []Word {
	var words []Word
	seen := map[string]bool{}
	add := func(apart [][]string, joined string) {
		if key := fmt.Sprint(apart); !seen[key] {
			seen[key] = true
			words = append(words, Word{apart, joined})
		}
	}
	for field := range strings.FieldsSeq(text) {
		apart := mirror.Words(field)
		if joined := mirror.Joined(field); joined != "" {
			add(apart, joined)
			continue
		}
		for i := range apart {
			add(apart[i:i+1], "")
		}
	}
	return words
}

// Parts counts what MaxWords bounds.
func Parts(words []Word) int {
	parts := 0
	for _, word := range words {
		parts += len(word.Apart)
	}
	return parts
}

// ProductCursor is where a page ended. Results come by rank (all words in the
// title first), then by normalised title, then by id.
type ProductCursor struct {
	Rank    int        `json:"r"`
	SortKey string     `json:"s"`
	ID      mirror.GID `json:"i"`
}

// ProductHit is a found product.
type ProductHit struct {
	ID     mirror.GID
	Cursor ProductCursor
}

// SearchProducts finds up to Limit products, best first.
func (t *Tx) SearchProducts(shop int64, q ProductQuery) ([]ProductHit, error) {
	args := []any{shop}
	arg := func(v any) string {
		args = append(args, v)
		return fmt.Sprintf("$%d", len(args))
	}
	from, rank := `product_search p`, `0`
	where := `p.shop_id = $1`
	parts := Parts(q.Words)
	if parts > MaxWords {
		return nil, fmt.Errorf("search products: %d words, more than %d", parts, MaxWords)
	}
	if parts > 0 {
		match := ftsQuery(q.Words)
		rank = `CASE WHEN p.rowid IN (SELECT rowid FROM product_tokens WHERE product_tokens MATCH ` + arg("{title} : ("+match+")") + `) THEN 0 ELSE 1 END`
		where += ` AND p.rowid IN (SELECT rowid FROM product_tokens WHERE product_tokens MATCH ` + arg(match) + `)`
	}
	if q.Published {
		where += ` AND p.published AND p.status = 'ACTIVE'`
	}
	offer := ``
	if q.MinPrice != nil {
		offer += ` AND o.price >= ` + arg(*q.MinPrice)
	}
	if q.MaxPrice != nil {
		offer += ` AND o.price <= ` + arg(*q.MaxPrice)
	}
	if q.Available != nil && *q.Available {
		offer += ` AND o.available`
	} else if q.Available != nil {
		where += ` AND NOT p.available`
	}
	if offer != `` {
		where += ` AND EXISTS (SELECT 1 FROM product_offers o WHERE o.product = p.rowid` + offer + `)`
	}
	query := `SELECT r, sort_key, id FROM (SELECT ` + rank + ` AS r, p.sort_key, p.id FROM ` + from + ` WHERE ` + where + `) ranked`
	if q.After.ID != "" {
		query += ` WHERE (r, sort_key, id) > (` + arg(q.After.Rank) + `, ` + arg(q.After.SortKey) + `, ` + arg(q.After.ID) + `)`
	}
	query += ` ORDER BY r, sort_key, id LIMIT ` + arg(q.Limit)
	hits, err := list(t, query, args, func(scan func(...any) error) (ProductHit, error) {
		var h ProductHit
		err := scan(&h.Cursor.Rank, &h.Cursor.SortKey, &h.Cursor.ID)
		h.ID = h.Cursor.ID
		return h, err
	})
	if err != nil {
		return nil, fmt.Errorf("search products: %w", err)
	}
	return hits, nil
}

// ProductByHandle finds the shown product with this handle; ErrNotFound when there is none.
func (t *Tx) ProductByHandle(shop int64, handle string) (mirror.GID, error) {
	var id mirror.GID
	err := t.one(`SELECT id FROM product_search WHERE shop_id = $1 AND handle = $2 ORDER BY id LIMIT 1`, []any{shop, handle}, &id)
	return id, err
}

// ftsQuery writes words in FTS5's language. Tokens are ASCII letters and digits
// alone (see mirror.Tokens), so none can be mistaken for an operator inside its quotes.
func ftsQuery(words []Word) string {
	all := make([]string, len(words))
	for i, word := range words {
		end := ""
		if i == len(words)-1 {
			end = "*" // The user may still be typing the last word.
		}
		parts := make([]string, len(word.Apart))
		for j, tokens := range word.Apart {
			parts[j] = `"` + strings.Join(tokens, " ") + `"`
		}
		all[i] = "(" + strings.Join(parts, " AND ") + end
		if word.Joined != "" {
			all[i] += ` OR "` + word.Joined + `"` + end
		}
		all[i] += ")"
	}
	return strings.Join(all, " AND ")
}
