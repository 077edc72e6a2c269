package simulator

import (
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// complianceTopics can be had by an app's configuration only.
var complianceTopics = []string{"customers/data_request", "customers/redact", "shop/redact"}

// appTOML is what the simulator reads of an app's configuration file. Source:
// "App configuration" (Shopify CLI, 2026-10). All else in it is left alone.
type appTOML struct {
	Name           string `toml:"name"`
	ClientID       string `toml:"client_id"`
	ApplicationURL string `toml:"application_url"`
	AccessScopes   struct {
		Scopes         string   `toml:"scopes"`
		OptionalScopes []string `toml:"optional_scopes"`
	} `toml:"access_scopes"`
	Auth struct {
		RedirectURLs []string `toml:"redirect_urls"`
	} `toml:"auth"`
	Webhooks struct {
		APIVersion    string `toml:"api_version"`
		Subscriptions []struct {
			Topics           []string `toml:"topics"`
			ComplianceTopics []string `toml:"compliance_topics"`
			URI              string   `toml:"uri"`
			Name             string   `toml:"name"`
			Filter           string   `toml:"filter"`
			IncludeFields    []string `toml:"include_fields"`
		} `toml:"subscriptions"`
	} `toml:"webhooks"`
}

// ReadAppTOML reads an app's configuration from a shopify.app.toml: its name,
// client id, scopes, redirect addresses and webhook subscriptions. The file
// holds no secret; that is the caller's to add. Addresses that begin with a slash are
// taken below appURL, or below the file's application_url where appURL is
// empty. What Shopify would refuse is an error; what it would take and the
// simulator passes over, as a topic that it never sends, is in warnings.
func ReadAppTOML(r io.Reader, appURL string) (app App, warnings []string, err error) {
	var file appTOML
	meta, err := toml.NewDecoder(r).Decode(&file)
	if err != nil {
		return App{}, nil, fmt.Errorf("app configuration: %w", err)
	}
	for _, key := range meta.Undecoded() {
		if key[0] == "webhooks" && (len(key) < 2 || key[1] != "privacy_compliance") {
			warnings = append(warnings, fmt.Sprintf("%s is not known and passed over", key))
		}
	}
	if version := file.Webhooks.APIVersion; version != "" && served(version) != version {
		warnings = append(warnings, fmt.Sprintf("webhooks.api_version %s is answered by %s", version, served(version)))
	}
	if appURL == "" {
		appURL = file.ApplicationURL
	}
	app = App{Name: file.Name, ClientID: file.ClientID, RedirectURIs: file.Auth.RedirectURLs, URL: appURL,
		Scopes: splitScopes(file.AccessScopes.Scopes), OptionalScopes: sortedSet(file.AccessScopes.OptionalScopes)}
	for n, subscription := range file.Webhooks.Subscriptions {
		wrong := func(format string, args ...any) (App, []string, error) {
			return App{}, nil, fmt.Errorf("app configuration, webhook subscription %d: %w", n+1, fmt.Errorf(format, args...))
		}
		address, err := belongs(appURL, subscription.URI)
		if err != nil {
			return wrong("%w", err)
		}
		if message := checkAddress(address); message != "" {
			return wrong("uri %q: %s", subscription.URI, message)
		}
		if len(subscription.Topics)+len(subscription.ComplianceTopics) == 0 {
			return wrong("it names no topic")
		}
		for _, topic := range subscription.Topics {
			if !schemaOf(latestVersion).EnumHas("WebhookSubscriptionTopic", topicEnum(topic)) {
				return wrong("there is no topic %q", topic)
			}
			if _, sent := topics[topicEnum(topic)]; !sent {
				warnings = append(warnings, fmt.Sprintf("webhooks of topic %s are never sent here", topic))
			}
		}
		for _, topic := range subscription.ComplianceTopics {
			if !slices.Contains(complianceTopics, topic) {
				return wrong("%q is none of the compliance topics: %s", topic, strings.Join(complianceTopics, ", "))
			}
		}
		for _, topic := range slices.Concat(subscription.Topics, subscription.ComplianceTopics) {
			if message := checkFilter(topicEnum(topic), subscription.Filter); message != "" {
				return wrong("filter %q of topic %s: %s", subscription.Filter, topic, message)
			}
			app.Webhooks = append(app.Webhooks, AppWebhook{Topic: topic, URI: address, Name: subscription.Name, Filter: subscription.Filter,
				IncludeFields: subscription.IncludeFields, APIVersion: file.Webhooks.APIVersion})
		}
	}
	return app, warnings, nil
}

// belongs joins an address that begins with a slash to the app's own.
func belongs(appURL, address string) (string, error) {
	if !strings.HasPrefix(address, "/") {
		return address, nil
	}
	base, err := url.Parse(appURL)
	if err != nil || base.Host == "" {
		return "", fmt.Errorf("uri %q: the app has no address to which it could belong: %q", address, appURL)
	}
	path, query, _ := strings.Cut(address, "?")
	joined := base.JoinPath(path)
	joined.RawQuery = query
	return joined.String(), nil
}
