// Package store keeps people and matches in PostgreSQL.
package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"example.com/datifyy/backend/internal/config"
	"example.com/datifyy/backend/internal/dating"
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
		settings.ConnConfig.RuntimeParams["application_name"] = "datifyy"
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

// CreateUser is ErrTaken when the address has an account.
func (s *Store) CreateUser(ctx context.Context, email, hash, name string) (string, error) {
	var id string
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, `INSERT INTO users (email, password_hash) VALUES ($1, $2) RETURNING id`, email, hash).Scan(&id); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO profiles (user_id, name) VALUES ($1, $2)`, id, name); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO partner_preferences (user_id) VALUES ($1)`, id)
		return err
	})
	return id, translate(err)
}

// Credentials are the id and the password hash of an active account; both "" when there is none.
func (s *Store) Credentials(ctx context.Context, email string) (id, hash string, err error) {
	err = s.pool.QueryRow(ctx, `SELECT id, coalesce(password_hash, '') FROM users
		WHERE lower(email) = lower($1) AND account_status = 'active'`, email).Scan(&id, &hash)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", "", nil
	}
	return id, hash, err
}

const profileColumns = `p.user_id, p.name, coalesce(p.birth_year, 0), p.city, p.bio,
	array(SELECT interest FROM user_interests i WHERE i.user_id = p.user_id ORDER BY interest),
	w.min_age, w.max_age, w.same_city
	FROM profiles p JOIN users u ON u.id = p.user_id AND u.account_status = 'active'
	JOIN partner_preferences w ON w.user_id = p.user_id`

func scanProfile(row pgx.CollectableRow) (p dating.Profile, err error) {
	w := &p.Preferences
	err = row.Scan(&p.ID, &p.Name, &p.BirthYear, &p.City, &p.Bio, &p.Interests, &w.MinAge, &w.MaxAge, &w.SameCity)
	return p, err
}

// Profile is that of an active account, else ErrNotFound.
func (s *Store) Profile(ctx context.Context, id string) (dating.Profile, error) {
	rows, err := s.pool.Query(ctx, `SELECT `+profileColumns+` WHERE p.user_id = $1`, id)
	if err != nil {
		return dating.Profile{}, translate(err)
	}
	profile, err := pgx.CollectExactlyOneRow(rows, scanProfile)
	return profile, translate(err)
}

// SaveProfile replaces it with everything that hangs on it.
func (s *Store) SaveProfile(ctx context.Context, p dating.Profile) error {
	return translate(pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		done, err := tx.Exec(ctx, `UPDATE profiles SET name = $2, birth_year = nullif($3, 0), city = $4, bio = $5, updated_at = now()
			WHERE user_id = $1`, p.ID, p.Name, p.BirthYear, p.City, p.Bio)
		if err == nil && done.RowsAffected() == 0 {
			return dating.ErrNotFound
		}
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE partner_preferences SET min_age = $2, max_age = $3, same_city = $4 WHERE user_id = $1`,
			p.ID, p.Preferences.MinAge, p.Preferences.MaxAge, p.Preferences.SameCity); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM user_interests WHERE user_id = $1 AND interest <> ALL ($2)`, p.ID, p.Interests); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO user_interests (user_id, interest) SELECT $1, unnest($2::text[]) ON CONFLICT DO NOTHING`,
			p.ID, p.Interests)
		return err
	}))
}

// Interest is one of those there are to choose from.
type Interest struct {
	Slug string `json:"slug"`
	Name string `json:"name"`
}

// Interests are all there are.
func (s *Store) Interests(ctx context.Context) ([]Interest, error) {
	rows, err := s.pool.Query(ctx, `SELECT slug, name FROM interests ORDER BY slug`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Interest])
}

// Candidates are the people somebody has not liked yet, those heard of last first.
func (s *Store) Candidates(ctx context.Context, user string, limit int) ([]dating.Profile, error) {
	rows, err := s.pool.Query(ctx, `SELECT `+profileColumns+`
		WHERE p.user_id <> $1 AND NOT EXISTS (SELECT FROM likes WHERE liker = $1 AND liked = p.user_id)
		ORDER BY p.updated_at DESC LIMIT $2`, user, limit)
	if err != nil {
		return nil, translate(err)
	}
	found, err := pgx.CollectRows(rows, scanProfile)
	return found, translate(err)
}

// Like says that user likes other; the match's id and whether it is new when it is mutual, "" when it is not.
// Both likes of a pair wait for each other, so that one of them sees the other's.
func (s *Store) Like(ctx context.Context, user, other string) (match string, created bool, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended(least($1, $2) || greatest($1, $2), 0))`, user, other); err != nil {
			return err
		}
		done, err := tx.Exec(ctx, `INSERT INTO likes (liker, liked)
			SELECT $1::uuid, id FROM users WHERE id = $2::uuid AND account_status = 'active'
			ON CONFLICT (liker, liked) DO UPDATE SET liked = excluded.liked`, user, other)
		if err != nil {
			return err
		}
		if done.RowsAffected() == 0 {
			return dating.ErrNotFound
		}
		err = tx.QueryRow(ctx, `INSERT INTO matches (first, second) SELECT least(liker, liked), greatest(liker, liked)
			FROM likes WHERE liker = $2::uuid AND liked = $1::uuid ON CONFLICT DO NOTHING RETURNING id`, user, other).Scan(&match)
		if err == nil {
			created = true
			return nil
		}
		if !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		err = tx.QueryRow(ctx, `SELECT id FROM matches WHERE first = least($1::uuid, $2::uuid)
			AND second = greatest($1::uuid, $2::uuid)`, user, other).Scan(&match)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	return match, created, translate(err)
}

const matchColumns = `m.id, p.user_id, p.name, p.city,
	coalesce(extract(year FROM now())::int - p.birth_year, 0), m.created_at
	FROM matches m JOIN profiles p ON p.user_id = CASE WHEN m.first = $1 THEN m.second ELSE m.first END
	JOIN users u ON u.id = p.user_id AND u.account_status = 'active'
	WHERE (m.first = $1 OR m.second = $1)`

func scanMatch(row pgx.CollectableRow) (m dating.Match, err error) {
	err = row.Scan(&m.ID, &m.With.ID, &m.With.Name, &m.With.City, &m.With.Age, &m.CreatedAt)
	return m, err
}

// Matches are somebody's, newest first.
func (s *Store) Matches(ctx context.Context, user string, limit int) ([]dating.Match, error) {
	rows, err := s.pool.Query(ctx, `SELECT `+matchColumns+` ORDER BY m.created_at DESC, m.id LIMIT $2`, user, limit)
	if err != nil {
		return nil, translate(err)
	}
	found, err := pgx.CollectRows(rows, scanMatch)
	return found, translate(err)
}

// Match is one of somebody's, else ErrNotFound.
func (s *Store) Match(ctx context.Context, user, id string) (dating.Match, error) {
	rows, err := s.pool.Query(ctx, `SELECT `+matchColumns+` AND m.id = $2`, user, id)
	if err != nil {
		return dating.Match{}, translate(err)
	}
	match, err := pgx.CollectExactlyOneRow(rows, scanMatch)
	return match, translate(err)
}

// IsID says whether text can be the id of anything.
func IsID(text string) bool {
	var id pgtype.UUID
	return len(text) == 36 && id.Scan(text) == nil
}

// SQLSTATE, PostgreSQL's appendix A.
const foreignKeyViolation = "23503"

func translate(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return dating.ErrNotFound
	}
	if fault, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch fault.ConstraintName {
		case "users_email":
			return dating.ErrTaken
		case "user_interests_interest_fkey":
			return dating.Invalid{"interests": "must be of those at /api/v1/interests"}
		}
		if fault.Code == foreignKeyViolation {
			return dating.ErrNotFound
		}
	}
	return err
}
