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
	"sync"

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
	load func() (Secret, error) // Nil: its keys never change.

	mu    sync.RWMutex
	keys  [][]byte // The first is the newest.
	inUse string   // KeyID of the one that seals.
	aead  tink.AEAD
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
	parsed, err := parseKeys(keys)
	if err != nil {
		return nil, err
	}
	s := &Sealer{keys: parsed}
	return s, s.build(keyName(parsed[0]))
}

// OpenReloading is OpenSealer for keys that are replaced while the program runs:
// load gives them anew.
func OpenReloading(load func() (Secret, error)) (*Sealer, error) {
	keys, err := load()
	if err != nil {
		return nil, err
	}
	s, err := OpenSealer(keys)
	if err == nil {
		s.load = load
	}
	return s, err
}

// Reload reads the keys anew, where they can change. Those that were known stay
// good for opening, as long as the program runs. It reports whether there is a new one.
func (s *Sealer) Reload() (bool, error) {
	if s.load == nil {
		return false, nil
	}
	text, err := s.load()
	if err != nil {
		return false, fmt.Errorf("load the encryption keys again: %w", err)
	}
	fresh, err := parseKeys(text)
	if err != nil {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.keys)
	for _, key := range s.keys {
		if !slices.ContainsFunc(fresh, func(k []byte) bool { return bytes.Equal(k, key) }) {
			fresh = append(fresh, key)
		}
	}
	s.keys = fresh
	return len(fresh) > before, s.build(s.inUse)
}

// Use seals by the key of this id from here on; false where there is no such key.
func (s *Sealer) Use(id string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.ContainsFunc(s.keys, func(key []byte) bool { return keyName(key) == id }) {
		return false, nil
	}
	return true, s.build(id)
}

// KeyID names the key that seals. It tells nothing of use about the key.
func (s *Sealer) KeyID() string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.inUse
}

// Newest names the first of the keys.
func (s *Sealer) Newest() string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return keyName(s.keys[0])
}

// build makes the cipher; the caller has the mutex, or the only reference.
func (s *Sealer) build(inUse string) error {
	params, err := aesgcm.NewParameters(aesgcm.ParametersOpts{
		KeySizeInBytes: keyBytes, IVSizeInBytes: 12, TagSizeInBytes: 16, Variant: aesgcm.VariantTink,
	})
	if err != nil {
		return fmt.Errorf("set up AES-256-GCM: %w", err)
	}
	manager := keyset.NewManager()
	for i, raw := range s.keys {
		key, err := aesgcm.NewKey(secretdata.NewBytesFromData(raw, insecuresecretdataaccess.Token{}), keyID(raw), params)
		if err != nil {
			return fmt.Errorf("use encryption key %d: %w", i+1, err)
		}
		id, err := manager.AddKey(key)
		if err != nil {
			return fmt.Errorf("add encryption key %d: %w", i+1, err)
		}
		if keyName(raw) != inUse {
			continue
		}
		if err := manager.SetPrimary(id); err != nil {
			return fmt.Errorf("seal by encryption key %d: %w", i+1, err)
		}
	}
	handle, err := manager.Handle()
	if err != nil {
		return fmt.Errorf("build the keyset: %w", err)
	}
	made, err := aead.New(handle)
	if err != nil {
		return fmt.Errorf("build the cipher: %w", err)
	}
	s.aead, s.inUse = made, inUse
	return nil
}

func (s *Sealer) cipher() tink.AEAD {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.aead
}

// Seal encrypts plaintext. The associated data says what the bytes are for,
// such as the shop and the column: they open only where the same is given, so
// that a token copied into another shop's row is useless there.
func (s *Sealer) Seal(plaintext, associated []byte) ([]byte, error) {
	sealed, err := s.cipher().Encrypt(plaintext, associated)
	if err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	return sealed, nil
}

// Open decrypts what Seal made; where it cannot, the error is ErrCannotOpen. A
// key that is not known may have come since: then the keys are read anew.
func (s *Sealer) Open(sealed, associated []byte) ([]byte, error) {
	// The library's reason is one text for every cause, so nothing is lost.
	plaintext, err := s.cipher().Decrypt(sealed, associated)
	if err == nil {
		return plaintext, nil
	}
	if s.knows(sealed) {
		return nil, ErrCannotOpen
	}
	if fresh, err := s.Reload(); err != nil || !fresh {
		return nil, errors.Join(ErrCannotOpen, err)
	}
	if plaintext, err = s.cipher().Decrypt(sealed, associated); err != nil {
		return nil, ErrCannotOpen
	}
	return plaintext, nil
}

// knows tells whether a known key sealed these bytes, if they are unharmed.
func (s *Sealer) knows(sealed []byte) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.ContainsFunc(s.keys, func(key []byte) bool { return bytes.HasPrefix(sealed, prefixOf(key)) })
}

// Current tells whether bytes were sealed by the key in use. The others are to
// be opened and sealed again before their key may be dropped.
func (s *Sealer) Current(sealed []byte) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, key := range s.keys {
		if keyName(key) == s.inUse {
			return bytes.HasPrefix(sealed, prefixOf(key))
		}
	}
	return false
}

// prefixOf is what bytes sealed by a key begin with: the library's mark, and the key's id.
func prefixOf(raw []byte) []byte {
	return binary.BigEndian.AppendUint32([]byte{1}, keyID(raw))
}

// keyName is a key's id in words.
func keyName(raw []byte) string { return fmt.Sprintf("%08x", keyID(raw)) }

// parseKeys reads a keyset without what is in it twice.
func parseKeys(keys Secret) ([][]byte, error) {
	var all [][]byte
	for i, text := range strings.Split(keys.Reveal(), ",") {
		raw, err := parseKey(strings.TrimSpace(text))
		if err != nil {
			return nil, fmt.Errorf("read encryption key %d: %w", i+1, err)
		}
		if !slices.ContainsFunc(all, func(k []byte) bool { return bytes.Equal(k, raw) }) {
			all = append(all, raw)
		}
	}
	return all, nil
}

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
