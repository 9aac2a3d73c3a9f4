// Package store keeps accounts in PostgreSQL.
package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"example.com/rt-apps/api/internal/accounts"
	"example.com/rt-apps/api/internal/config"
)

// Store is a pool of connections: at most as many as said, none older than 5 minutes.
type Store struct{ pool *pgxpool.Pool }

// Open prepares the pool; the first connection is made by the first query.
func Open(ctx context.Context, url config.Secret, most int32) (*Store, error) {
	settings, err := pgxpool.ParseConfig(url.Reveal())
	if err != nil {
		return nil, errors.New("DATABASE_URL is not a PostgreSQL URL")
	}
	settings.MaxConns = most
	settings.MaxConnLifetime = 5 * time.Minute
	settings.MaxConnLifetimeJitter = 30 * time.Second
	settings.MaxConnIdleTime = 5 * time.Minute
	settings.ConnConfig.ConnectTimeout = 5 * time.Second
	if settings.ConnConfig.RuntimeParams["application_name"] == "" {
		settings.ConnConfig.RuntimeParams["application_name"] = "rt-apps"
	}
	pool, err := pgxpool.NewWithConfig(ctx, settings)
	if err != nil {
		return nil, fmt.Errorf("preparing the pool: %w", err)
	}
	return &Store{pool}, nil
}

// Close waits for the connections in use.
func (s *Store) Close() { s.pool.Close() }

// Ping asks the server something.
func (s *Store) Ping(ctx context.Context) error { return s.pool.Ping(ctx) }

const columns = `u.id, u.email, p.name, p.bio, u.created_at`

func scan(row pgx.CollectableRow) (u accounts.User, err error) {
	err = row.Scan(&u.ID, &u.Email, &u.Name, &u.Bio, &u.CreatedAt)
	return u, err
}

// Create is accounts.ErrTaken when the address has an account.
func (s *Store) Create(ctx context.Context, r accounts.Registration, hash string) (accounts.User, error) {
	return s.one(ctx, `WITH u AS (INSERT INTO users (email, password_hash) VALUES ($1, $2) RETURNING *),
		p AS (INSERT INTO profiles (user_id, name) SELECT id, $3 FROM u RETURNING *)
		SELECT `+columns+` FROM u, p`, r.Email, hash, r.Name)
}

// Credentials are the id and the password hash of an account; both "" when there is none.
func (s *Store) Credentials(ctx context.Context, email string) (id, hash string, err error) {
	err = s.pool.QueryRow(ctx, `SELECT id, password_hash FROM users WHERE lower(email) = lower($1)`, email).Scan(&id, &hash)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", "", nil
	}
	return id, hash, err
}

// LoggedIn notes the time and is the account.
func (s *Store) LoggedIn(ctx context.Context, id string) (accounts.User, error) {
	return s.one(ctx, `UPDATE users u SET last_login_at = now() FROM profiles p WHERE u.id = $1 AND p.user_id = u.id
		RETURNING `+columns, id)
}

// User is one account, else accounts.ErrNotFound.
func (s *Store) User(ctx context.Context, id string) (accounts.User, error) {
	return s.one(ctx, `SELECT `+columns+` FROM users u JOIN profiles p ON p.user_id = u.id WHERE u.id = $1`, id)
}

// Change changes what is not nil.
func (s *Store) Change(ctx context.Context, id string, c accounts.Change) (accounts.User, error) {
	return s.one(ctx, `WITH u AS (UPDATE users SET updated_at = now() WHERE id = $1 RETURNING *),
		p AS (UPDATE profiles SET name = coalesce($2, name), bio = coalesce($3, bio) WHERE user_id = $1 RETURNING *)
		SELECT `+columns+` FROM u, p`, id, c.Name, c.Bio)
}

func (s *Store) one(ctx context.Context, query string, arguments ...any) (accounts.User, error) {
	rows, err := s.pool.Query(ctx, query, arguments...)
	if err != nil {
		return accounts.User{}, err
	}
	user, err := pgx.CollectExactlyOneRow(rows, scan)
	if errors.Is(err, pgx.ErrNoRows) {
		return user, accounts.ErrNotFound
	}
	if fault, ok := errors.AsType[*pgconn.PgError](err); ok && fault.ConstraintName == "users_email" {
		return user, accounts.ErrTaken
	}
	return user, err
}
