// Package auth proves who somebody is: passwords by bcrypt, sessions by signed tokens.
package auth

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/crypto/bcrypt"

	"example.com/datifyy/backend/internal/config"
)

// ErrDenied is every reason why somebody is not who they claim to be; which one it was is nobody's business.
var ErrDenied = errors.New("the credentials are not valid")

const issuer = "datifyy"

// MaxPassword is what bcrypt reads of a password, in bytes.
const MaxPassword = 72

// Hash takes some 50 ms of a core.
func Hash(password string) (string, error) {
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.DefaultCost)
	return string(hash), err
}

// nobody is compared with when there is no such account, so that the time taken does not tell.
const nobody = "$2a$10$7EqJtq98hPqEX7fNZaFWoOhi6rYxZ3HdQ0bqYqCq0yIhUu2Yq1N6K"

// Check says whether password made hash. An empty hash is nobody's.
func Check(hash, password string) error {
	known := hash
	if known == "" {
		known = nobody
	}
	if bcrypt.CompareHashAndPassword([]byte(known), []byte(password)) != nil || hash == "" {
		return ErrDenied
	}
	return nil
}

// Tokens signs and reads them (HS256).
type Tokens struct {
	Key  config.Secret
	Life time.Duration
}

// Issue is a token for a user's id.
func (t Tokens) Issue(user string, now time.Time) (string, error) {
	return jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.RegisteredClaims{
		Issuer:    issuer,
		Subject:   user,
		IssuedAt:  jwt.NewNumericDate(now),
		ExpiresAt: jwt.NewNumericDate(now.Add(t.Life)),
	}).SignedString([]byte(t.Key.Reveal()))
}

// User is whose token the header `Authorization: Bearer …` carries. ErrDenied when it is none of ours.
func (t Tokens) User(header string) (string, error) {
	scheme, token, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", ErrDenied
	}
	var claims jwt.RegisteredClaims
	_, err := jwt.ParseWithClaims(strings.TrimSpace(token), &claims,
		func(*jwt.Token) (any, error) { return []byte(t.Key.Reveal()), nil },
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithIssuer(issuer), jwt.WithExpirationRequired())
	if err != nil || claims.Subject == "" {
		return "", ErrDenied
	}
	return claims.Subject, nil
}

type contextKey struct{}

// WithUser carries a user's id in the context.
func WithUser(ctx context.Context, user string) context.Context {
	return context.WithValue(ctx, contextKey{}, user)
}

// FromContext is the user's id, or "" where nobody signed in.
func FromContext(ctx context.Context) string {
	user, _ := ctx.Value(contextKey{}).(string)
	return user
}
