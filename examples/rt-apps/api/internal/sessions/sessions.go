// Package sessions knows who is signed in. A session is an id in Redis; the access token names it for some minutes, the
// refresh token for weeks. Each refresh replaces the refresh token, and an old one that is used ends the session: somebody
// else has a copy. Ending a session in Redis ends its access tokens at once, too.
package sessions

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/redis/go-redis/v9"

	"example.com/rt-apps/api/internal/accounts"
	"example.com/rt-apps/api/internal/config"
)

const (
	issuer  = "rt-apps"
	access  = "access"
	refresh = "refresh"
)

// Sessions signs tokens (HS256) and keeps what may be used of them in Redis.
type Sessions struct {
	Redis       *redis.Client
	Key         config.Secret
	AccessLife  time.Duration
	RefreshLife time.Duration
}

// Tokens are the two of a session.
type Tokens struct {
	Access  string
	Refresh string
}

// Who is somebody signed in.
type Who struct {
	User    string
	Session string
}

type claims struct {
	jwt.RegisteredClaims
	Session string `json:"sid"`
	Use     string `json:"use"`
}

func key(session string) string { return "rtapps:session:" + session }

// Begin opens a session.
func (s *Sessions) Begin(ctx context.Context, user string) (Tokens, error) {
	session, id := rand.Text(), rand.Text()
	if err := s.Redis.Set(ctx, key(session), id+"  0", s.RefreshLife).Err(); err != nil {
		return Tokens{}, fmt.Errorf("opening a session: %w", err)
	}
	return s.sign(user, session, id)
}

// reuse is how long the token before the last is still good: its answer may have been lost, or two tabs asked at once.
const reuse = 10 * time.Second

// replace puts the next refresh token's id in the place of the one presented. One that was replaced within the reuse
// time gets the id that replaced it; any other ends the session. In Redis it is one step: of two refreshes at once, one
// is first.
var replace = redis.NewScript(`
local value = redis.call("GET", KEYS[1])
if not value then return false end
local last, before, at = string.match(value, "^(%w+) (%w*) (%d+)$")
local clock = redis.call("TIME")
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
if ARGV[1] == last then
  redis.call("SET", KEYS[1], ARGV[2] .. " " .. last .. " " .. string.format("%.0f", now), "PX", ARGV[3])
  return ARGV[2]
end
if ARGV[1] == before and now - at < tonumber(ARGV[4]) then return last end
redis.call("DEL", KEYS[1])
return false`)

// Refresh exchanges a refresh token for new ones. accounts.ErrDenied when it is not one to be used.
func (s *Sessions) Refresh(ctx context.Context, token string) (Tokens, error) {
	c, err := s.read(token, refresh)
	if err != nil {
		return Tokens{}, err
	}
	id, err := replace.Run(ctx, s.Redis, []string{key(c.Session)},
		c.ID, rand.Text(), s.RefreshLife.Milliseconds(), reuse.Milliseconds()).Text()
	if errors.Is(err, redis.Nil) {
		return Tokens{}, accounts.ErrDenied
	}
	if err != nil {
		return Tokens{}, fmt.Errorf("renewing a session: %w", err)
	}
	return s.sign(c.Subject, c.Session, id)
}

// Named is whose valid token the header `Authorization: Bearer …` carries, without asking whether the session goes on.
func (s *Sessions) Named(header string) (Who, error) {
	scheme, token, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return Who{}, accounts.ErrDenied
	}
	c, err := s.read(strings.TrimSpace(token), access)
	return Who{c.Subject, c.Session}, err
}

// Open says whether the session goes on: nil, or accounts.ErrDenied.
func (s *Sessions) Open(ctx context.Context, who Who) error {
	n, err := s.Redis.Exists(ctx, key(who.Session)).Result()
	if err != nil {
		return fmt.Errorf("looking up a session: %w", err)
	}
	if n == 0 {
		return accounts.ErrDenied
	}
	return nil
}

// End closes the session of a refresh token. A token that is not valid has none.
func (s *Sessions) End(ctx context.Context, token string) error {
	c, err := s.read(token, refresh)
	if errors.Is(err, accounts.ErrDenied) {
		return nil
	}
	if err := s.Redis.Del(ctx, key(c.Session)).Err(); err != nil {
		return fmt.Errorf("ending a session: %w", err)
	}
	return nil
}

func (s *Sessions) sign(user, session, id string) (Tokens, error) {
	now := time.Now()
	one := func(use, id string, life time.Duration) (string, error) {
		return jwt.NewWithClaims(jwt.SigningMethodHS256, claims{Session: session, Use: use, RegisteredClaims: jwt.RegisteredClaims{
			Issuer: issuer, Subject: user, ID: id, IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(life)),
		}}).SignedString([]byte(s.Key.Reveal()))
	}
	first, err := one(access, "", s.AccessLife)
	if err != nil {
		return Tokens{}, err
	}
	second, err := one(refresh, id, s.RefreshLife)
	return Tokens{first, second}, err
}

func (s *Sessions) read(token, use string) (claims, error) {
	var c claims
	_, err := jwt.ParseWithClaims(token, &c, func(*jwt.Token) (any, error) { return []byte(s.Key.Reveal()), nil },
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithIssuer(issuer), jwt.WithExpirationRequired())
	if err != nil || c.Use != use || c.Subject == "" || c.Session == "" {
		return claims{}, accounts.ErrDenied
	}
	return c, nil
}
