package rpc

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"example.com/datifyy/backend/internal/auth"
	datifyyv1 "example.com/datifyy/backend/internal/gen/datifyy/v1"
	"example.com/datifyy/backend/internal/logs"
)

const (
	largestMessage = 64 << 10
	healthEvery    = 2 * time.Second
)

// Server is the gRPC server with its health service, which tells whether the database answers.
type Server struct {
	*grpc.Server
	health *health.Server
}

// NewServer knows MatchService and grpc.health.v1.Health.
func NewServer(matches *Matches) *Server {
	calls := grpc.NewServer(
		grpc.MaxRecvMsgSize(largestMessage),
		grpc.ConnectionTimeout(10*time.Second),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 10 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.ChainUnaryInterceptor(func(ctx context.Context, request any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (answer any, err error) {
			err = matches.around(ctx, info.FullMethod, func(ctx context.Context) error {
				answer, err = next(ctx, request)
				return err
			})
			return answer, err
		}),
		grpc.ChainStreamInterceptor(func(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			return matches.around(stream.Context(), info.FullMethod, func(ctx context.Context) error {
				return next(service, &streamWith{stream, ctx})
			})
		}),
	)
	server := &Server{calls, health.NewServer()}
	datifyyv1.RegisterMatchServiceServer(calls, matches)
	grpc_health_v1.RegisterHealthServer(calls, server.health)
	return server
}

// WatchHealth keeps the health service's answers true until ctx ends.
func (s *Server) WatchHealth(ctx context.Context, ping func(context.Context) error) {
	for ticks := time.Tick(healthEvery); ; {
		once, cancel := context.WithTimeout(ctx, healthEvery)
		serving := grpc_health_v1.HealthCheckResponse_SERVING
		if ping(once) != nil {
			serving = grpc_health_v1.HealthCheckResponse_NOT_SERVING
		}
		cancel()
		if ctx.Err() != nil {
			return
		}
		for _, name := range []string{"", datifyyv1.MatchService_ServiceDesc.ServiceName} {
			s.health.SetServingStatus(name, serving)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticks:
		}
	}
}

// Drain says NOT_SERVING, lets what runs end, and cuts what has not ended when ctx does.
func (s *Server) Drain(ctx context.Context) {
	s.health.Shutdown()
	done := make(chan struct{})
	go func() { s.GracefulStop(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		s.Stop()
		<-done
	}
}

type streamWith struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *streamWith) Context() context.Context { return s.ctx }

// around gives a call its request id and its user, writes one line about it and turns faults into statuses.
func (m *Matches) around(ctx context.Context, method string, next func(context.Context) error) (err error) {
	start := time.Now()
	header, _ := metadata.FromIncomingContext(ctx)
	ctx, id := logs.WithRequestID(ctx, first(header, "x-request-id"))
	_ = grpc.SetHeader(ctx, metadata.Pairs("x-request-id", id))
	quietly := strings.HasPrefix(method, "/grpc.health.v1.Health/")
	defer func() {
		if fault := recover(); fault != nil {
			slog.ErrorContext(ctx, "panic", "error", fmt.Sprint(fault), "stack", string(debug.Stack()))
			err = status.Error(codes.Internal, "something went wrong here")
		}
		level := slog.LevelInfo
		if quietly && err == nil {
			level = slog.LevelDebug
		}
		slog.Log(ctx, level, "call", "method", method, "code", status.Code(err).String(), "ms", time.Since(start).Milliseconds())
	}()
	if !quietly {
		user, err := m.Service.Tokens.User(first(header, "authorization"))
		if err != nil {
			return status.Error(codes.Unauthenticated, err.Error())
		}
		ctx = auth.WithUser(ctx, user)
	}
	return public(ctx, next(ctx))
}

// public keeps statuses and ended contexts; everything else is logged and told as an internal error.
func public(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return status.FromContextError(ctx.Err()).Err()
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	slog.ErrorContext(ctx, "call_failed", "error", err.Error())
	return status.Error(codes.Internal, "something went wrong here")
}

func first(header metadata.MD, name string) string {
	if values := header.Get(name); len(values) > 0 {
		return values[0]
	}
	return ""
}
