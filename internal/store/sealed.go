package store

import (
	"errors"
	"fmt"

	"stockroom/internal/mirror"
)

// SealedColumn is a column whose values are ciphertexts.
type SealedColumn struct {
	Table, Column string
	Key           string // The row's key, an integer.
	Name          string // SQL for what names the row's owner, to which its value is bound.
}

// SealedColumns are all of them. A new one is listed here and in package
// connect, or a change of the encryption key would leave its values behind.
var SealedColumns = []SealedColumn{
	{"shops", "access_token", "id", "domain"},
	{"shops", "refresh_token", "id", "domain"},
	{"shops", "last_access_token", "id", "domain"},
	{"shops", "last_refresh_token", "id", "domain"},
	{"shops", "webhook_key", "id", "domain"},
	{"shop_keys", "sealed", "shop_id", "'row ' || shop_id"},
	{"app_secrets", "sealed", "id", "''"},
	{"facebook_pages", "token", "id", "page_id"},
	{"facebook_logins", "sealed", "id", "hex(hash)"},
	{"facebook_secrets", "sealed", "id", "''"},
}

// SealedValue is one ciphertext.
type SealedValue struct {
	Row   int64
	Name  string
	Value []byte
}

// SealedValues lists the values of a sealed column; erased ones are left out.
func (t *Tx) SealedValues(c SealedColumn) ([]SealedValue, error) {
	values, err := list(t, fmt.Sprintf(`SELECT %s, %s, %s FROM %s WHERE length(%s) > 0 ORDER BY 1`, c.Key, c.Name, c.Column, c.Table, c.Column), nil,
		func(scan func(...any) error) (SealedValue, error) {
			var v SealedValue
			err := scan(&v.Row, &v.Name, &v.Value)
			return v, err
		})
	if err != nil {
		return nil, fmt.Errorf("list sealed values of %s.%s: %w", c.Table, c.Column, err)
	}
	return values, nil
}

// SetSealedValue replaces one.
func (t *Tx) SetSealedValue(c SealedColumn, v SealedValue) error {
	_, err := t.exec(fmt.Sprintf(`UPDATE %s SET %s = $2 WHERE %s = $1`, c.Table, c.Column, c.Key), v.Row, v.Value)
	if err != nil {
		return fmt.Errorf("seal %s.%s again: %w", c.Table, c.Column, err)
	}
	return nil
}

// KeyInUse is the id of the encryption key that seals; empty before the first.
func (t *Tx) KeyInUse() (string, error) {
	var id string
	err := t.one(`SELECT key_id FROM key_in_use`, nil, &id)
	if errors.Is(err, ErrNotFound) {
		return "", nil
	}
	return id, err
}

// SetKeyInUse says which encryption key seals from here on.
func (t *Tx) SetKeyInUse(id string) error {
	_, err := t.exec(`INSERT INTO key_in_use (only_row, key_id) VALUES (1, $1) ON CONFLICT (only_row) DO UPDATE SET key_id = excluded.key_id`, id)
	return err
}

// SecretsOf is whose secrets of the app are meant: it is known to two platforms.
type SecretsOf string

const (
	SecretsOfShopify  SecretsOf = "app_secrets"
	SecretsOfFacebook SecretsOf = "facebook_secrets"
)

// AddAppSecret keeps a secret of the app, sealed.
func (t *Tx) AddAppSecret(of SecretsOf, sealed []byte, now mirror.Instant) error {
	_, err := t.exec(`INSERT INTO `+string(of)+` (sealed, added_at) VALUES ($1, $2)`, sealed, now)
	return err
}

// AppSecrets lists the app's secrets that were added, sealed, newest first.
func (t *Tx) AppSecrets(of SecretsOf) ([][]byte, error) {
	return list(t, `SELECT sealed FROM `+string(of)+` ORDER BY id DESC`, nil, func(scan func(...any) error) ([]byte, error) {
		var sealed []byte
		err := scan(&sealed)
		return sealed, err
	})
}
