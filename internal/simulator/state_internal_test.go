package simulator

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestEveryFieldIsSaved fails where a field is added that a state does not
// keep: it is named here, with the reason, or it is saved.
func TestEveryFieldIsSaved(t *testing.T) {
	for _, c := range []struct {
		live, saved reflect.Type
		elsewhere   []string
	}{
		{reflect.TypeFor[Simulator](), reflect.TypeFor[savedSimulator](), []string{
			"config", "log", "apps", "handSet", "life", "stopped", // What it was started with.
			"hooks", "shops", "meta", // Lines of their own.
			"bulk",             // In installations.
			"clock", "traffic", // Ahead, Changes.
			"requests", "requestLog", // Ids of requests begin anew, and their log.
			"mu", "faultsMu", "secretMu", // Locks.
			"chanceSource", "secretSource", "metaSource", // Chance, Secret, MetaSecret.
			"told", // After a restart, calls are drawn for as those before.
		}},
		{reflect.TypeFor[Shop](), reflect.TypeFor[savedShop](), []string{
			"sim", "mu", "installMu",
			"Own",                                                                       // Metafields.
			"Products", "Collections", "Discounts", "Orders", "Events", "installations", // Lines of their own.
			"Variants", "Items", // In products.
		}},
		{reflect.TypeFor[Product](), reflect.TypeFor[savedProduct](), []string{
			"ID", "Title", "Handle", "Status", "Vendor", "ProductType", "Tags", "DescriptionHTML", "TemplateSuffix", "SEO", "Options", "Image", "Gallery", "GiftCard",
			"Variants", "Metafields", "CreatedAt", "UpdatedAt", "PublishedAt", // Embedded.
			"oldTotal", // ShownTotal.
		}},
		{reflect.TypeFor[Installation](), reflect.TypeFor[savedInstallation](), []string{
			"App", "Shop", "mu",
			"bucket",                                       // It is full again after a restart.
			"idempotentMu", "idempotent", "idempotentKeys", // Forgotten, as Save says.
		}},
		{reflect.TypeFor[BulkOperation](), reflect.TypeFor[savedBulk](), []string{
			"ID", "Type", "Status", "ErrorCode", "Query", "CreatedAt", "CompletedAt", "ObjectCount", "RootObjectCount", "FileSize", "URL",
			"PartialDataURL", // Embedded.
			"cancel",         // Of one that runs: it does not after a restart.
		}},
		{reflect.TypeFor[parcel](), reflect.TypeFor[savedParcel](), []string{
			"order",               // That of the lines.
			"kept",                // All are.
			"log", "installation", // The line's.
			"options",                    // Version.
			"include", "filter", "build", // Used up by Body.
			"secret", // OldSecret tells which.
			"task",   // Of an erasure, which its shop keeps.
		}},
	} {
		saved := reflect.VisibleFields(c.saved)
		for _, field := range reflect.VisibleFields(c.live) {
			kept := slices.ContainsFunc(saved, func(f reflect.StructField) bool { return len(f.Index) == 1 && strings.EqualFold(f.Name, field.Name) })
			if kept == slices.Contains(c.elsewhere, field.Name) {
				t.Errorf("%s.%s: saved %v; it has to be saved, or named here, and not both", c.live, field.Name, kept)
			}
		}
	}
}
