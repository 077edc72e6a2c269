package shopify

import (
	"slices"
	"strings"
)

// MissingScopes lists those of the needed scopes that a grant, comma separated
// as Shopify writes it, does not hold. write_x implies read_x, and the grant may
// list only the former (page 'Authorization code grant', seen 2026-10).
func MissingScopes(granted string, needed []string) []string {
	held := strings.FieldsFunc(granted, func(r rune) bool { return r == ',' || r == ' ' })
	var missing []string
	for _, scope := range needed {
		write := "write_" + strings.TrimPrefix(scope, "read_")
		if !slices.Contains(held, scope) && !slices.Contains(held, write) {
			missing = append(missing, scope)
		}
	}
	return missing
}

// SeesAllOrders reports whether a grant reaches orders older than 60 days.
func SeesAllOrders(granted string) bool {
	return len(MissingScopes(granted, []string{"read_all_orders"})) == 0
}
