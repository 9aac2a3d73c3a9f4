// Package cache keeps copies of accounts in Redis for a while. Without Redis there are none, and that is all.
package cache

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/rt-apps/api/internal/accounts"
	"example.com/rt-apps/api/internal/config"
)

const life = 5 * time.Minute

// Cache shares its client with the sessions and the limiter.
type Cache struct{ Redis *redis.Client }

// Connect prepares a client; rediss:// means TLS, with the certificate verified.
func Connect(url config.Secret) (*redis.Client, error) {
	options, err := redis.ParseURL(url.Reveal())
	if err != nil {
		return nil, errors.New("REDIS_URL is not a Redis URL")
	}
	options.DialTimeout = 2 * time.Second
	options.ReadTimeout = 2 * time.Second
	options.WriteTimeout = 2 * time.Second
	options.MaxRetries = 1
	return redis.NewClient(options), nil
}

func key(id string) string { return "rtapps:user:" + id }

// Ping asks the server something.
func (c *Cache) Ping(ctx context.Context) error { return c.Redis.Ping(ctx).Err() }

// User is a copy of at most 5 minutes; false when there is none.
func (c *Cache) User(ctx context.Context, id string) (accounts.User, bool) {
	var user accounts.User
	text, err := c.Redis.Get(ctx, key(id)).Bytes()
	if err != nil {
		return user, false
	}
	return user, json.Unmarshal(text, &user) == nil
}

// Remember keeps what was read. It does not replace a copy: a change that came between reading and remembering is newer.
func (c *Cache) Remember(ctx context.Context, user accounts.User) {
	if text, err := json.Marshal(user); err == nil {
		note(ctx, c.Redis.SetNX(ctx, key(user.ID), text, life).Err())
	}
}

// Changed keeps what was written.
func (c *Cache) Changed(ctx context.Context, user accounts.User) {
	if text, err := json.Marshal(user); err == nil {
		note(ctx, c.Redis.Set(ctx, key(user.ID), text, life).Err())
	}
}

func note(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil {
		slog.WarnContext(ctx, "cache_write_failed", "error", err.Error())
	}
}
