// Package service is what Datifyy does, the same for REST and gRPC.
package service

import (
	"context"
	"errors"
	"log/slog"
	"net/mail"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"example.com/datifyy/backend/internal/auth"
	"example.com/datifyy/backend/internal/cache"
	"example.com/datifyy/backend/internal/dating"
	"example.com/datifyy/backend/internal/gemini"
	"example.com/datifyy/backend/internal/store"
)

// Service is stateless: any instance can answer anything.
type Service struct {
	Store  *store.Store
	Cache  *cache.Cache
	Tokens auth.Tokens
	Model  *gemini.Client
}

const candidates = 500

// Session is a token and whose it is.
type Session struct {
	User  string `json:"user"`
	Token string `json:"token"`
}

// SignUp makes an account. dating.Invalid, dating.ErrTaken.
func (s *Service) SignUp(ctx context.Context, email, password, name string) (Session, error) {
	faults := dating.Invalid{}
	email = strings.TrimSpace(email)
	if address, err := mail.ParseAddress(email); err != nil || address.Address != email || len(email) > 254 {
		faults["email"] = "must be an e-mail address"
	}
	if utf8.RuneCountInString(password) < 8 || len(password) > auth.MaxPassword {
		faults["password"] = "must have at least 8 characters and at most 72 bytes"
	}
	profile := dating.Profile{Name: strings.TrimSpace(name), Preferences: dating.Preferences{MinAge: 18, MaxAge: 120}}
	if bad, ok := errors.AsType[dating.Invalid](profile.Validate(time.Now())); ok {
		faults["name"] = bad["name"]
	}
	if len(faults) > 0 {
		return Session{}, faults
	}
	hash, err := auth.Hash(password)
	if err != nil {
		return Session{}, err
	}
	user, err := s.Store.CreateUser(ctx, email, hash, profile.Name)
	if err != nil {
		return Session{}, err
	}
	return s.session(user)
}

// SignIn is auth.ErrDenied for a wrong password and for no account alike.
func (s *Service) SignIn(ctx context.Context, email, password string) (Session, error) {
	user, hash, err := s.Store.Credentials(ctx, strings.TrimSpace(email))
	if err != nil {
		return Session{}, err
	}
	if err := auth.Check(hash, password); err != nil {
		return Session{}, err
	}
	return s.session(user)
}

func (s *Service) session(user string) (Session, error) {
	token, err := s.Tokens.Issue(user, time.Now())
	return Session{User: user, Token: token}, err
}

// Profile is read through the cache.
func (s *Service) Profile(ctx context.Context, user string) (dating.Profile, error) {
	if profile, found := s.Cache.Profile(ctx, user); found {
		return profile, nil
	}
	profile, err := s.Store.Profile(ctx, user)
	if err == nil {
		s.Cache.Remember(ctx, profile)
	}
	return profile, err
}

// SaveProfile replaces user's own.
func (s *Service) SaveProfile(ctx context.Context, user string, profile dating.Profile) (dating.Profile, error) {
	profile.ID, profile.Name = user, strings.TrimSpace(profile.Name)
	profile.City, profile.Bio = strings.TrimSpace(profile.City), strings.TrimSpace(profile.Bio)
	profile.Interests = append([]string{}, profile.Interests...)
	slices.Sort(profile.Interests)
	profile.Interests = slices.Compact(profile.Interests)
	if err := profile.Validate(time.Now()); err != nil {
		return profile, err
	}
	if err := s.Store.SaveProfile(ctx, profile); err != nil {
		return profile, err
	}
	s.Cache.Changed(ctx, profile)
	return profile, nil
}

// Suggestions are the people that fit user best.
func (s *Service) Suggestions(ctx context.Context, user string, limit int) ([]dating.Suggestion, error) {
	me, err := s.Profile(ctx, user)
	if err != nil {
		return nil, err
	}
	others, err := s.Store.Candidates(ctx, user, candidates)
	if err != nil {
		return nil, err
	}
	return dating.Suggest(me, others, limit, time.Now()), nil
}

// Like is the match it made or had made, nil while it is not mutual.
func (s *Service) Like(ctx context.Context, user, other string) (*dating.Match, error) {
	if user == other {
		return nil, dating.Invalid{"user": "cannot be oneself"}
	}
	if !store.IsID(other) {
		return nil, dating.ErrNotFound
	}
	id, created, err := s.Store.Like(ctx, user, strings.ToLower(other))
	if err != nil || id == "" {
		return nil, err
	}
	if created {
		s.Cache.Announce(ctx, user, strings.ToLower(other))
	}
	match, err := s.Store.Match(ctx, user, id)
	return &match, err
}

// Icebreaker is a first line to somebody matched with, and who wrote it: "gemini", or "template" where no key is set or
// the model fails.
func (s *Service) Icebreaker(ctx context.Context, user, match string) (text, source string, err error) {
	if !store.IsID(match) {
		return "", "", dating.ErrNotFound
	}
	found, err := s.Store.Match(ctx, user, match)
	if err != nil {
		return "", "", err
	}
	me, err := s.Profile(ctx, user)
	if err != nil {
		return "", "", err
	}
	other, err := s.Profile(ctx, found.With.ID)
	if err != nil {
		return "", "", err
	}
	text, err = s.Model.Ask(ctx, dating.Prompt(me, other))
	if err == nil {
		return text, "gemini", nil
	}
	if ctx.Err() != nil {
		return "", "", ctx.Err()
	}
	if !errors.Is(err, gemini.ErrNoKey) {
		slog.WarnContext(ctx, "model_failed", "error", err.Error())
	}
	return dating.Icebreaker(me, other), "template", nil
}
