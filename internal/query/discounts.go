package query

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"stockroom/internal/mirror"
	"stockroom/internal/store"
)

// AnyStatus asks for discounts whatever their status.
const AnyStatus = "ALL"

var discountStatuses = []string{mirror.DiscountActive, mirror.DiscountScheduled, mirror.DiscountExpired, AnyStatus}

// DiscountsQuery selects discounts.
type DiscountsQuery struct {
	Status string // ACTIVE, SCHEDULED, EXPIRED or ALL, in any case. Default: ACTIVE.
	Cursor string
	Limit  int
}

// Discounts lists discounts by id. Their status is that of the moment of the
// answer, which the clock decides.
func (r *Reader) Discounts(ctx context.Context, shop store.Shop, q DiscountsQuery) (List[Discount], error) {
	page := List[Discount]{Items: []Discount{}}
	limit, err := limitOf(q.Limit)
	if err != nil {
		return page, err
	}
	page.Limit = limit
	status := strings.ToUpper(q.Status)
	if status == "" {
		status = mirror.DiscountActive
	}
	if !slices.Contains(discountStatuses, status) {
		return page, &Error{BadRequest, fmt.Sprintf("there is no discount status %q", q.Status), "ask for " + strings.Join(discountStatuses, ", ")}
	}
	var after mirror.GID
	if err := decodeCursor(q.Cursor, "discounts", &after); err != nil {
		return page, err
	}
	err = r.view(ctx, shop, "discounts", func(tx *store.Tx) error {
		if page.Freshness, err = r.freshness(tx, shop, mirror.TypeDiscount); err != nil {
			return err
		}
		in := reader{tx, shop, r.shopNow(shop)}
		err := in.pages(mirror.KindDiscount, after, func(rows []store.Row) (bool, error) {
			discounts, err := in.discounts(rows)
			for _, d := range discounts {
				if status == AnyStatus || d.Status == status {
					page.Items = append(page.Items, d)
				}
			}
			return len(page.Items) <= limit, err
		})
		if len(page.Items) > limit {
			page.Items = page.Items[:limit]
			page.Next = encodeCursor("discounts", page.Items[limit-1].ID)
		}
		return err
	})
	return page, err
}
