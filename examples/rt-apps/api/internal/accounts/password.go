package accounts

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"

	"golang.org/x/crypto/argon2"
)

// OWASP's recommendation for Argon2id: 19 MiB, two passes, one lane.
const (
	memory   = 19 << 10
	passes   = 2
	lanes    = 1
	saltSize = 16
	hashSize = 32
)

var encoding = base64.RawStdEncoding

// turns bound the memory that hashing takes, however many sign in at once.
var turns = make(chan struct{}, max(2, runtime.NumCPU()))

func derive(ctx context.Context, password string, salt []byte, memory, passes uint32, lanes uint8, size uint32) ([]byte, error) {
	select {
	case turns <- struct{}{}:
		defer func() { <-turns }()
		return argon2.IDKey([]byte(password), salt, passes, memory, lanes, size), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Hash is the password's, in the form that PHC gave it: parameters, salt and hash in one text.
func Hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // never fails
	hash, err := derive(ctx, password, salt, memory, passes, lanes, hashSize)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, memory, passes, lanes,
		encoding.EncodeToString(salt), encoding.EncodeToString(hash)), nil
}

// Check is nil when password made the encoded hash and ErrDenied when not. An empty hash is nobody's, and takes as long.
func Check(ctx context.Context, encoded, password string) error {
	if encoded == "" {
		if _, err := derive(ctx, password, make([]byte, saltSize), memory, passes, lanes, hashSize); err != nil {
			return err
		}
		return ErrDenied
	}
	var version int
	var m, t uint32
	var p uint8
	parts := strings.Split(encoded, "$")
	if len(parts) != 6 || parts[1] != "argon2id" {
		return errors.New("a stored password hash cannot be read")
	}
	_, wrongVersion := fmt.Sscanf(parts[2], "v=%d", &version)
	_, wrongParameters := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &m, &t, &p)
	salt, wrongSalt := encoding.DecodeString(parts[4])
	hash, wrongHash := encoding.DecodeString(parts[5])
	if err := errors.Join(wrongVersion, wrongParameters, wrongSalt, wrongHash); err != nil || version != argon2.Version || t == 0 || p == 0 || len(hash) == 0 {
		return errors.New("a stored password hash cannot be read")
	}
	got, err := derive(ctx, password, salt, m, t, p, uint32(len(hash)))
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(got, hash) != 1 {
		return ErrDenied
	}
	return nil
}
