package mirror

import (
	"slices"
	"strings"
)

// Withheld reports that the shop does not grant what a kind needs. Where nothing
// is known of its scopes, nothing is withheld.
func Withheld(kind Kind, granted []string) bool {
	info := InfoOf(kind)
	if info.Of != "" {
		info = InfoOf(info.Of)
	}
	return len(granted) > 0 && len(MissingScopes(granted, info.Scopes)) > 0
}

// ParseScopes reads a comma separated list of scopes; sorted.
func ParseScopes(text string) []string {
	var scopes []string
	for scope := range strings.SplitSeq(text, ",") {
		if scope = strings.TrimSpace(scope); scope != "" {
			scopes = append(scopes, scope)
		}
	}
	slices.Sort(scopes)
	return slices.Compact(scopes)
}

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
