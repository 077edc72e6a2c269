package facebook

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"

	"stockroom/internal/secret"
)

// A Page's webhooks come where two subscriptions meet: the app's to the object,
// and the app's at the Page. Only fields of both are delivered, and a lack of
// either is silent (Meta's page "Webhooks for Pages").

// PageFields lists the fields that the app is subscribed to at a Page; found is
// false where it is not subscribed at all.
func (c *Client) PageFields(ctx context.Context, page string, token secret.Secret) (fields []string, found bool, err error) {
	var said struct {
		Data []struct {
			ID     text     `json:"id"`
			Fields []string `json:"subscribed_fields"`
		} `json:"data"`
	}
	if err := c.do(ctx, call{name: "list the apps of a Page", path: escaped(page) + "/subscribed_apps", token: token}, &said); err != nil {
		return nil, false, err
	}
	for _, app := range said.Data {
		if string(app.ID) == c.AppID {
			return app.Fields, true, nil
		}
	}
	return nil, false, nil
}

// SubscribePage subscribes the app to these fields of a Page, in place of what it
// had.
func (c *Client) SubscribePage(ctx context.Context, page string, token secret.Secret, fields []string) error {
	return c.confirm(ctx, call{name: "subscribe to a Page", method: http.MethodPost, path: escaped(page) + "/subscribed_apps",
		query: url.Values{"subscribed_fields": {list(fields)}}, token: token})
}

// UnsubscribePage ends the app's subscription at a Page.
func (c *Client) UnsubscribePage(ctx context.Context, page string, token secret.Secret) error {
	return c.confirm(ctx, call{name: "unsubscribe from a Page", method: http.MethodDelete, path: escaped(page) + "/subscribed_apps", token: token})
}

// AppSubscription is the app's own to an object.
type AppSubscription struct {
	Object   string
	Callback string
	Active   bool
	Fields   []string
}

// AppSubscriptions lists the app's subscriptions.
func (c *Client) AppSubscriptions(ctx context.Context) ([]AppSubscription, error) {
	var said struct {
		Data []struct {
			Object   string      `json:"object"`
			Callback string      `json:"callback_url"`
			Active   bool        `json:"active"`
			Fields   []fieldName `json:"fields"`
		} `json:"data"`
	}
	if err := c.do(ctx, call{name: "list the app's webhooks", path: escaped(c.AppID) + "/subscriptions", app: true, phase: phaseApp}, &said); err != nil {
		return nil, err
	}
	var all []AppSubscription
	for _, s := range said.Data {
		one := AppSubscription{Object: s.Object, Callback: s.Callback, Active: s.Active}
		for _, field := range s.Fields {
			one.Fields = append(one.Fields, string(field))
		}
		all = append(all, one)
	}
	return all, nil
}

// fieldName is a field as a bare name, or with its version.
type fieldName string

func (f *fieldName) UnmarshalJSON(b []byte) error {
	if json.Unmarshal(b, (*string)(f)) == nil {
		return nil
	}
	var named struct {
		Name string `json:"name"`
	}
	err := json.Unmarshal(b, &named)
	*f = fieldName(named.Name)
	return err
}

// SubscribeApp subscribes the app to fields of an object at an address, in place of
// what it had. Before it answers, Meta asks the address for the verify token.
func (c *Client) SubscribeApp(ctx context.Context, s AppSubscription, verify secret.Secret) error {
	return c.confirm(ctx, call{name: "subscribe the app to webhooks", method: http.MethodPost, path: escaped(c.AppID) + "/subscriptions",
		query: url.Values{"object": {s.Object}, "callback_url": {s.Callback}, "fields": {list(s.Fields)},
			"verify_token": {verify.Reveal()}, "include_values": {"true"}}, app: true, phase: phaseApp})
}

// Missing lists what of wanted is not in found.
func Missing(wanted, found []string) []string {
	var missing []string
	for _, field := range wanted {
		if !slices.Contains(found, field) {
			missing = append(missing, field)
		}
	}
	return missing
}
