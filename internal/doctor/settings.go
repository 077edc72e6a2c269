package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"stockroom/internal/config"
)

// settings reads the settings as the service would. The other checks go on with
// what can be read of them.
func settings(_ context.Context, p *Patient) (found []Finding) {
	cfg, err := config.Load(p.Source, config.NeedAll)
	p.Config = cfg
	var invalid *config.InvalidError
	if errors.As(err, &invalid) {
		for _, m := range invalid.Mistakes {
			remedy := "Correct it where it is set; docs/settings.md lists every setting."
			if m.From == "" {
				remedy = "Set it; docs/settings.md lists every setting."
			}
			if strings.Contains(m.Problem, "https://") && strings.Contains(m.Problem, "must begin") {
				remedy = "Shopify and Meta send people and webhooks to https addresses alone: put a proxy that speaks TLS in front (docs/operating.md, Proxy and TLS), and set " + m.Name + " to its https:// address, exactly as it is registered with the app."
			}
			found = append(found, Finding{Level: Fault, Found: m.String(), Remedy: remedy})
		}
	} else if err != nil {
		found = append(found, Finding{Level: Fault, Found: err.Error(), Remedy: "Correct the settings; docs/settings.md lists every one."})
	}
	for _, warning := range cfg.Warnings {
		found = append(found, Finding{Level: Warning, Found: warning, Remedy: "Set it as the warning says, if that is not what you want."})
	}
	if len(found) == 0 {
		found = append(found, Finding{Level: OK, Found: fmt.Sprintf("all settings can be used; the database is %s", cfg.Database)})
	}
	return found
}
