package secret

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/aead/aesgcm"
	"github.com/tink-crypto/tink-go/v2/insecuresecretdataaccess"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/secretdata"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// keyBytes is the length of a key: AES-256.
const keyBytes = 32

// ErrCannotOpen means that sealed bytes were damaged, were sealed for something
// else, or that their key is not in the keyset. Trying again cannot help.
var ErrCannotOpen = errors.New("cannot be decrypted: its key is not among the keys of ENCRYPTION_KEY, it was sealed for something else, or it is damaged")

// Sealer encrypts and authenticates what is kept at rest, by AES-256-GCM. It
// may be used by many goroutines at once.
type Sealer struct {
	aead   tink.AEAD
	prefix []byte // What bytes sealed by the first key begin with.
}

// NewKeyset makes a keyset of one random key, in the form OpenSealer reads.
func NewKeyset() Secret { return New(RandomToken(keyBytes)) }

// OpenSealer reads a keyset: keys of 32 random bytes each, in base64 or hex (as
// "openssl rand -base64 32" prints them), separated by commas, newest first.
// The first seals, all of them open. So a key is changed by putting a new one
// in front, sealing everything again, and then dropping the old one.
//
// A key's id is derived from the key, so that one text always means one keyset
// and a user never handles more than the keys themselves.
func OpenSealer(keys Secret) (*Sealer, error) {
	params, err := aesgcm.NewParameters(aesgcm.ParametersOpts{
		KeySizeInBytes: keyBytes, IVSizeInBytes: 12, TagSizeInBytes: 16, Variant: aesgcm.VariantTink,
	})
	if err != nil {
		return nil, fmt.Errorf("set up AES-256-GCM: %w", err)
	}
	var (
		manager = keyset.NewManager()
		seen    []string
		sealer  Sealer
	)
	for i, text := range strings.Split(keys.Reveal(), ",") {
		raw, err := parseKey(strings.TrimSpace(text))
		if err != nil {
			return nil, fmt.Errorf("read encryption key %d: %w", i+1, err)
		}
		if slices.Contains(seen, string(raw)) {
			continue
		}
		seen = append(seen, string(raw))
		key, err := aesgcm.NewKey(secretdata.NewBytesFromData(raw, insecuresecretdataaccess.Token{}), keyID(raw), params)
		if err != nil {
			return nil, fmt.Errorf("use encryption key %d: %w", i+1, err)
		}
		id, err := manager.AddKey(key)
		if err != nil {
			return nil, fmt.Errorf("add encryption key %d: %w", i+1, err)
		}
		if i == 0 {
			sealer.prefix = key.OutputPrefix()
			if err := manager.SetPrimary(id); err != nil {
				return nil, fmt.Errorf("seal by encryption key 1: %w", err)
			}
		}
	}
	handle, err := manager.Handle()
	if err != nil {
		return nil, fmt.Errorf("build the keyset: %w", err)
	}
	if sealer.aead, err = aead.New(handle); err != nil {
		return nil, fmt.Errorf("build the cipher: %w", err)
	}
	return &sealer, nil
}

// Seal encrypts plaintext. The associated data says what the bytes are for,
// such as the shop and the column: they open only where the same is given, so
// that a token copied into another shop's row is useless there.
func (s *Sealer) Seal(plaintext, associated []byte) ([]byte, error) {
	sealed, err := s.aead.Encrypt(plaintext, associated)
	if err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	return sealed, nil
}

// Open decrypts what Seal made; where it cannot, the error is ErrCannotOpen.
func (s *Sealer) Open(sealed, associated []byte) ([]byte, error) {
	// The library's reason is one text for every cause, so nothing is lost.
	plaintext, err := s.aead.Decrypt(sealed, associated)
	if err != nil {
		return nil, ErrCannotOpen
	}
	return plaintext, nil
}

// Current tells whether bytes were sealed by the first key. The others are to
// be opened and sealed again before their key may be dropped.
func (s *Sealer) Current(sealed []byte) bool { return bytes.HasPrefix(sealed, s.prefix) }

// parseKey reads 32 bytes from base64 of either alphabet, padded or not, or
// from hex. Their lengths differ, so the forms cannot be confused. The error
// never holds the text, as it may be nearly right.
func parseKey(text string) ([]byte, error) {
	if raw, err := hex.DecodeString(text); err == nil && len(raw) == keyBytes {
		return raw, nil
	}
	for _, form := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		if raw, err := form.DecodeString(strings.TrimRight(text, "=")); err == nil && len(raw) == keyBytes {
			return raw, nil
		}
	}
	return nil, fmt.Errorf("it is not %d bytes in base64 or hex; make one with: openssl rand -base64 %d", keyBytes, keyBytes)
}

// keyID names a key by 32 bits of its hash, which tell nothing of use about it.
func keyID(raw []byte) uint32 {
	sum := sha256.Sum256(append([]byte("stockroom key id\x00"), raw...))
	return binary.BigEndian.Uint32(sum[:])
}
