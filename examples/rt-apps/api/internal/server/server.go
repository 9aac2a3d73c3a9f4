// Package server puts the parts together and runs them.
package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"example.com/rt-apps/api/internal/cache"
	"example.com/rt-apps/api/internal/config"
	"example.com/rt-apps/api/internal/limit"
	"example.com/rt-apps/api/internal/sessions"
	"example.com/rt-apps/api/internal/store"
	"example.com/rt-apps/api/internal/web"
)

// grace is for what runs when the server is told to stop: less than the 10 s after which golive ends a process by force.
const grace = 8 * time.Second

// Run serves until ctx ends, then takes no more, finishes what runs, and returns nil. It does not wait for the stores:
// /readiness says whether they answer.
func Run(ctx context.Context, c config.Config) error {
	db, err := store.Open(ctx, c.DatabaseURL, c.DatabaseConns)
	if err != nil {
		return err
	}
	defer db.Close()
	redis, err := cache.Connect(c.RedisURL)
	if err != nil {
		return err
	}
	defer redis.Close()
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", c.Address())
	if err != nil {
		return err
	}
	api := &web.API{
		Store:    db,
		Cache:    &cache.Cache{Redis: redis},
		Sessions: &sessions.Sessions{Redis: redis, Key: c.JWTSecret, AccessLife: c.AccessLife, RefreshLife: c.RefreshLife},
		Limiter:  &limit.Limiter{Redis: redis, Requests: c.RateRequests, Window: c.RateWindow},
		Trusted:  c.TrustedProxies,
		Origins:  c.Origins,
		Version:  c.Version,
		Plain:    c.Development(),
	}
	server := &http.Server{
		Handler:           api.Handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(slog.Default().Handler(), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	slog.Info("listening", "address", listener.Addr().String(), "version", c.Version, "environment", c.Environment)
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	slog.Info("stopping")
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if server.Shutdown(last) != nil {
		return errors.Join(errors.New("requests were still running after the time to stop"), server.Close())
	}
	slog.Info("stopped")
	return nil
}
