package mirror

import (
	"slices"
	"strings"
)

// MissingScopes lists what of wanted is not granted. A granted write_x covers
// read_x: Shopify's answer may name only the first.
func MissingScopes(granted, wanted []string) []string {
	var missing []string
	for _, scope := range wanted {
		thing, isRead := strings.CutPrefix(scope, "read_")
		if !slices.Contains(granted, scope) && !(isRead && slices.Contains(granted, "write_"+thing)) {
			missing = append(missing, scope)
		}
	}
	return missing
}
