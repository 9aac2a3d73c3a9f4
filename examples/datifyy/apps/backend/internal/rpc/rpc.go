// Package rpc is Datifyy over gRPC.
package rpc

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"example.com/datifyy/backend/internal/auth"
	"example.com/datifyy/backend/internal/dating"
	datifyyv1 "example.com/datifyy/backend/internal/gen/datifyy/v1"
	"example.com/datifyy/backend/internal/service"
)

const (
	quiet    = 30 * time.Second // between two signs of life, and between two looks for news that Redis lost
	existing = 1000             // matches a stream begins with, at most
	recent   = 100
)

// Matches implements datifyy.v1.MatchService.
type Matches struct {
	datifyyv1.UnimplementedMatchServiceServer
	Service *service.Service
	// Stopping is closed when the server is about to stop: open streams end themselves.
	Stopping <-chan struct{}
}

// ListMatches is the unary call.
func (m *Matches) ListMatches(ctx context.Context, r *datifyyv1.ListMatchesRequest) (*datifyyv1.ListMatchesResponse, error) {
	limit := int(r.GetLimit())
	if limit == 0 {
		limit = 20
	}
	if limit < 1 || limit > 100 {
		return nil, status.Error(codes.InvalidArgument, "limit must be from 1 to 100")
	}
	found, err := m.Service.Store.Matches(ctx, auth.FromContext(ctx), limit)
	if err != nil {
		return nil, err
	}
	answer := &datifyyv1.ListMatchesResponse{}
	for _, match := range found {
		answer.Matches = append(answer.Matches, message(match))
	}
	return answer, nil
}

// WatchMatches sends what there is and, asked to follow, what comes. News only wakes it; what is new is what it has not
// sent, so a message lost by Redis is late and not lost.
func (m *Matches) WatchMatches(r *datifyyv1.WatchMatchesRequest, stream datifyyv1.MatchService_WatchMatchesServer) error {
	ctx := stream.Context()
	news, stop := m.Service.Cache.Watch(auth.FromContext(ctx))
	defer stop()
	sent := map[string]bool{}
	if err := m.sendNew(stream, sent, existing); err != nil {
		return err
	}
	if err := stream.Send(&datifyyv1.WatchMatchesResponse{Event: &datifyyv1.WatchMatchesResponse_CaughtUp{CaughtUp: &datifyyv1.CaughtUp{}}}); err != nil {
		return err
	}
	beat := time.NewTicker(quiet)
	defer beat.Stop()
	for r.GetFollow() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-m.Stopping:
			return stream.Send(&datifyyv1.WatchMatchesResponse{Event: &datifyyv1.WatchMatchesResponse_Restarting{Restarting: &datifyyv1.Restarting{}}})
		case <-news:
		case <-beat.C:
			if err := stream.Send(&datifyyv1.WatchMatchesResponse{Event: &datifyyv1.WatchMatchesResponse_StillThere{StillThere: &datifyyv1.StillThere{}}}); err != nil {
				return err
			}
		}
		if err := m.sendNew(stream, sent, recent); err != nil {
			return err
		}
	}
	return nil
}

func (m *Matches) sendNew(stream datifyyv1.MatchService_WatchMatchesServer, sent map[string]bool, limit int) error {
	found, err := m.Service.Store.Matches(stream.Context(), auth.FromContext(stream.Context()), limit)
	if err != nil {
		return err
	}
	for _, match := range found {
		if sent[match.ID] {
			continue
		}
		sent[match.ID] = true
		if err := stream.Send(&datifyyv1.WatchMatchesResponse{Event: &datifyyv1.WatchMatchesResponse_Match{Match: message(match)}}); err != nil {
			return err
		}
	}
	return nil
}

func message(match dating.Match) *datifyyv1.Match {
	return &datifyyv1.Match{
		Id:        match.ID,
		With:      &datifyyv1.Person{Id: match.With.ID, Name: match.With.Name, City: match.With.City, Age: int32(match.With.Age)},
		CreatedAt: timestamppb.New(match.CreatedAt),
	}
}
