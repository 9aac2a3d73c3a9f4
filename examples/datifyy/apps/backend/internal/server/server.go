// Package server puts the parts together and runs them: two ports, one life.
package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"example.com/datifyy/backend/internal/auth"
	"example.com/datifyy/backend/internal/cache"
	"example.com/datifyy/backend/internal/config"
	"example.com/datifyy/backend/internal/gemini"
	"example.com/datifyy/backend/internal/rest"
	"example.com/datifyy/backend/internal/rpc"
	"example.com/datifyy/backend/internal/service"
	"example.com/datifyy/backend/internal/store"
)

// grace is for what runs when the server is told to stop: less than the 10 s after which golive ends a process by force.
const grace = 8 * time.Second

// Run serves until ctx ends, then takes no more, finishes what runs, and returns nil. It does not wait for the stores:
// the health checks say whether they answer.
func Run(ctx context.Context, c config.Config) error {
	db, err := store.Open(ctx, c.DatabaseURL, c.DatabaseConns)
	if err != nil {
		return err
	}
	defer db.Close()
	shared, err := cache.Open(c.RedisURL)
	if err != nil {
		return err
	}
	defer shared.Close()
	var listen net.ListenConfig
	web, err := listen.Listen(ctx, "tcp", c.HTTPAddress())
	if err != nil {
		return err
	}
	defer web.Close()
	calls, err := listen.Listen(ctx, "tcp", c.GRPCAddress())
	if err != nil {
		return err
	}
	defer calls.Close()

	dates := &service.Service{
		Store:  db,
		Cache:  shared,
		Tokens: auth.Tokens{Key: c.JWTSecret, Life: c.TokenLife},
		Model:  gemini.New(c.GeminiURL, c.GeminiModel, c.GeminiKey, c.GeminiTimeout),
	}
	restServer := &http.Server{
		Handler:           (&rest.API{Service: dates, Version: c.Version}).Handler(c.Origins),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      c.GeminiTimeout + 15*time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(slog.Default().Handler(), slog.LevelWarn),
	}
	grpcServer := rpc.NewServer(&rpc.Matches{Service: dates, Stopping: ctx.Done()})

	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBackground()
	go shared.Listen(background)
	go grpcServer.WatchHealth(background, db.Ping)
	failed := make(chan error, 2)
	go func() { failed <- restServer.Serve(web) }()
	go func() { failed <- grpcServer.Serve(calls) }()
	slog.Info("listening", "http", web.Addr().String(), "grpc", calls.Addr().String(), "version", c.Version, "environment", c.Environment)

	select {
	case err = <-failed:
		slog.Error("a port stopped serving", "error", err.Error())
	case <-ctx.Done():
		slog.Info("stopping")
	}
	return errors.Join(err, drain(context.WithoutCancel(ctx), restServer, grpcServer))
}

func drain(ctx context.Context, web *http.Server, calls *rpc.Server) error {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	var both sync.WaitGroup
	both.Go(func() { calls.Drain(ctx) })
	err := web.Shutdown(ctx)
	both.Wait()
	if err != nil {
		return errors.Join(errors.New("requests were still running after the time to stop"), web.Close())
	}
	slog.Info("stopped")
	return nil
}
