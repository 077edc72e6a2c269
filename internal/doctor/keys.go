package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"stockroom/internal/secret"
	"stockroom/internal/shopify"
	"stockroom/internal/store"
)

// encryptionKey finds the key as the service does, makes none, and opens what is
// sealed with it.
func encryptionKey(ctx context.Context, p *Patient) []Finding {
	keys, where := p.Config.EncryptionKeys, "ENCRYPTION_KEY"
	if keys.Empty() {
		if p.Config.Database.Path == "" {
			return unseen("there is no ENCRYPTION_KEY, and no database beside which a file could hold one")
		}
		where = p.Config.Database.KeyFile()
		if _, err := os.Stat(where); errors.Is(err, fs.ErrNotExist) {
			if len(p.Shops) == 0 {
				return []Finding{{Level: OK, Found: "no key is there yet: the service makes one at its first start"}}
			}
			return []Finding{{Level: Fault, Found: fmt.Sprintf("the encryption key is gone: %s is not there, and the tokens in the database are sealed with it", where),
				Remedy: "Put the file back from where you keep it. If it is lost for good, every shop has to be removed and connected again."}}
		}
		var err error
		if keys, _, err = secret.File(where, func() secret.Secret { return secret.Secret{} }); err != nil {
			return []Finding{{Level: Fault, Found: fmt.Sprintf("the encryption key cannot be read: %v", err), Remedy: "Mend the file as the text says."}}
		}
	}
	sealer, err := secret.OpenSealer(keys)
	if err != nil {
		return []Finding{{Level: Fault, Found: fmt.Sprintf("%s holds no key: %v", where, err), Remedy: "Put the right key back; `openssl rand -base64 32` prints one in the right form, for a new installation alone."}}
	}
	if p.Store == nil {
		return unseen("whether the key fits cannot be told before the database can be opened")
	}
	p.Sealer = sealer
	if err := p.connection().CheckKeys(ctx); err != nil {
		p.Sealer, p.connector = nil, nil
		return []Finding{{Level: Fault, Found: fmt.Sprintf("the encryption key in %s does not fit the database: its tokens are sealed with another", where),
			Remedy: "Give the key that they were sealed with, by ENCRYPTION_KEY or in the file beside the database. After a restore it is the key of the backup's time. If it is lost for good, every shop has to be removed and connected again."}}
	}
	return []Finding{{Level: OK, Found: "the key in " + where + " opens what is sealed in the database"}}
}

// appSecret asks the token endpoint of a shop for what it cannot give, and hears
// whether it knows the app. Shopify's pages do not say in which words it refuses
// a wrong secret; OAuth's own are invalid_client (RFC 6749, section 5.2), and
// application_cannot_be_found has been seen for a wrong client id.
func appSecret(ctx context.Context, p *Patient) []Finding {
	s := p.Config.Shopify
	if s.APIKey == "" || len(s.APISecrets) == 0 {
		return unseen("SHOPIFY_API_KEY or SHOPIFY_API_SECRET is not set")
	}
	var asked *store.Shop
	for i := range p.Shops {
		if p.Shops[i].State != store.ShopUninstalled {
			asked = &p.Shops[i]
			break
		}
	}
	if asked == nil {
		return unseen("no shop is connected, and the secret can be tried at a shop alone")
	}
	ctx, cancel := context.WithTimeout(ctx, reachWithin)
	defer cancel()
	app := shopify.App{ClientID: s.APIKey, Secret: s.APISecrets[0]}
	_, err := shopify.Refresh(ctx, p.HTTP, s.ShopURL(asked.Domain), app, secret.New("shprt_none-the-doctor-asks"))
	refusal, refused := errors.AsType[*shopify.OAuthError](err)
	switch {
	case refused && (refusal.Code == "invalid_client" || refusal.Code == "application_cannot_be_found" || refusal.Code == "unauthorized_client"):
		return []Finding{{Level: Fault, Found: fmt.Sprintf("Shopify does not take SHOPIFY_API_KEY with the first of SHOPIFY_API_SECRET (%s)", refusal.Code),
			Remedy: "Copy the client id and the client secret from the app's settings in the Dev Dashboard. While a secret is being changed, give both: SHOPIFY_API_SECRET=new,old. Then restart."}}
	case refused && refusal.Status >= 400 && refusal.Status < 500 && refusal.Code != "":
		return []Finding{{Level: OK, Found: "Shopify knows the app by its id and secret"}}
	}
	return unseen("Shopify did not say whether it takes the secret: %v", err)
}

// tokens asks every shop whether its token still works.
func tokens(ctx context.Context, p *Patient) (found []Finding) {
	c := p.connection()
	if c == nil {
		return unseen("tokens cannot be tried before the database and its key can be opened")
	}
	if len(p.Shops) == 0 {
		return []Finding{{Level: OK, Found: "no shop is connected yet", Remedy: "`stockroom shops add --shop example.myshopify.com` prints the link to connect one."}}
	}
	again := func(shop store.Shop, what string) Finding {
		return Finding{Level: Fault, Shop: shop.Domain, Found: what,
			Remedy: fmt.Sprintf("The shop's owner has to open the app, or the link of `stockroom shops add --shop %s`, and agree. The copy is kept meanwhile. A token that was given by hand has to be given anew.", shop.Domain)}
	}
	for _, shop := range p.Shops {
		switch shop.State {
		case store.ShopUninstalled:
			continue
		case store.ShopReconnect:
			found = append(found, again(shop, "its refresh token is dead: Shopify refused it for good, so nothing is read from the shop any more"))
			continue
		}
		asking, cancel := context.WithTimeout(ctx, reachWithin)
		installed, err := c.Installed(asking, shop)
		cancel()
		switch {
		case err != nil && errors.Is(err, secret.ErrCannotOpen):
			found = append(found, Finding{Level: Fault, Shop: shop.Domain, Found: fmt.Sprintf("its token cannot be opened: %v", err), Remedy: "See the check of the encryption key."})
		case err != nil:
			found = append(found, Finding{Level: Warning, Shop: shop.Domain, Found: fmt.Sprintf("its token could not be tried: %v", err),
				Remedy: "Try again in a minute. If it stays so: can this machine reach the shop's address, and is the shop open?"})
		case !installed:
			found = append(found, again(shop, "its tokens are dead: Shopify refused the access token and the refresh token, or the app was removed"))
		default:
			p.answered[shop.ID] = true
			found = append(found, Finding{Level: OK, Shop: shop.Domain, Found: "its token works"})
		}
	}
	return found
}
