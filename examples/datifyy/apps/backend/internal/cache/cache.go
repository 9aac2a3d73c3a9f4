// Package cache is what instances share through Redis: profiles for a while, and the news of a match. The server works
// without it, more slowly; nothing here is the only copy of anything.
package cache

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/datifyy/backend/internal/config"
	"example.com/datifyy/backend/internal/dating"
)

const (
	profileLife = 5 * time.Minute
	newsChannel = "datifyy:matches"
)

// Cache is a pool of connections to one Redis.
type Cache struct {
	client  *redis.Client
	mu      sync.Mutex
	waiting map[string]map[chan struct{}]struct{}
}

// Open prepares the client; rediss:// means TLS, with the certificate verified.
func Open(url config.Secret) (*Cache, error) {
	options, err := redis.ParseURL(url.Reveal())
	if err != nil {
		return nil, errors.New("REDIS_URL is not a Redis URL")
	}
	options.DialTimeout = 2 * time.Second
	options.ReadTimeout = 2 * time.Second
	options.WriteTimeout = 2 * time.Second
	options.MaxRetries = 1
	return &Cache{client: redis.NewClient(options), waiting: map[string]map[chan struct{}]struct{}{}}, nil
}

// Close ends every connection.
func (c *Cache) Close() error { return c.client.Close() }

// Ping asks the server something.
func (c *Cache) Ping(ctx context.Context) error { return c.client.Ping(ctx).Err() }

func profileKey(id string) string { return "datifyy:profile:" + id }

// Profile is a copy of at most 5 minutes; false when there is none or Redis is away.
func (c *Cache) Profile(ctx context.Context, id string) (dating.Profile, bool) {
	var profile dating.Profile
	text, err := c.client.Get(ctx, profileKey(id)).Bytes()
	if err != nil {
		return profile, false
	}
	return profile, json.Unmarshal(text, &profile) == nil
}

// Remember keeps a profile that was read. It does not replace a copy: a change that came between reading and
// remembering is newer (Changed wins, in whatever order the two arrive).
func (c *Cache) Remember(ctx context.Context, profile dating.Profile) {
	if text, err := json.Marshal(profile); err == nil {
		c.note(ctx, "cache_write_failed", c.client.SetNX(ctx, profileKey(profile.ID), text, profileLife).Err())
	}
}

// Changed keeps a profile that was written.
func (c *Cache) Changed(ctx context.Context, profile dating.Profile) {
	if text, err := json.Marshal(profile); err == nil {
		c.note(ctx, "cache_write_failed", c.client.Set(ctx, profileKey(profile.ID), text, profileLife).Err())
	}
}

// Announce wakes those who watch for matches of these two, on every instance.
func (c *Cache) Announce(ctx context.Context, first, second string) {
	c.note(ctx, "announce_failed", c.client.Publish(ctx, newsChannel, first+" "+second).Err())
}

func (c *Cache) note(ctx context.Context, what string, err error) {
	if err != nil && ctx.Err() == nil {
		slog.WarnContext(ctx, what, "error", err.Error())
	}
}

// Watch is a channel that receives when there may be a new match of user. Call stop at the end.
func (c *Cache) Watch(user string) (news <-chan struct{}, stop func()) {
	channel := make(chan struct{}, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting[user] == nil {
		c.waiting[user] = map[chan struct{}]struct{}{}
	}
	c.waiting[user][channel] = struct{}{}
	return channel, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.waiting[user], channel)
		if len(c.waiting[user]) == 0 {
			delete(c.waiting, user)
		}
	}
}

// Listen passes the news on until ctx ends: one subscription a process, whatever the number of watchers. The client
// reconnects by itself.
func (c *Cache) Listen(ctx context.Context) {
	subscription := c.client.Subscribe(ctx, newsChannel)
	defer subscription.Close()
	messages := subscription.Channel()
	for {
		select {
		case <-ctx.Done():
			return
		case message, open := <-messages:
			if !open {
				return
			}
			for user := range strings.FieldsSeq(message.Payload) {
				c.wake(user)
			}
		}
	}
}

func (c *Cache) wake(user string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for channel := range c.waiting[user] {
		select {
		case channel <- struct{}{}:
		default: // it is about to look anyway
		}
	}
}
