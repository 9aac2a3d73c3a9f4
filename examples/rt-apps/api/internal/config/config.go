// Package config reads the environment once, at start, and says everything that is wrong with it at once.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Secret is text that formats, logs and encodes as a placeholder. Reveal is the only way to its value.
type Secret string

const masked = "[redacted]"

func (Secret) String() string               { return masked }
func (Secret) GoString() string             { return masked }
func (Secret) LogValue() slog.Value         { return slog.StringValue(masked) }
func (Secret) MarshalText() ([]byte, error) { return []byte(masked), nil }

// Reveal is the value itself, for the one place that needs it.
func (s Secret) Reveal() string { return string(s) }

// Config is everything the server is told from outside.
type Config struct {
	Environment    string
	Version        string
	Host           string
	Port           int
	DatabaseURL    Secret
	DatabaseConns  int32
	RedisURL       Secret
	JWTSecret      Secret
	AccessLife     time.Duration
	RefreshLife    time.Duration
	Origins        []string
	TrustedProxies []netip.Prefix
	RateRequests   int
	RateWindow     time.Duration
	LogLevel       slog.Level
}

// Address is where it listens.
func (c Config) Address() string { return net.JoinHostPort(c.Host, strconv.Itoa(c.Port)) }

// Development is a machine where nothing is served over TLS.
func (c Config) Development() bool { return c.Environment == "development" }

// Load reads the variables through lookup (os.LookupEnv). Its error names every variable that is missing or wrong,
// and never shows a value that may be secret.
func Load(lookup func(string) (string, bool)) (Config, error) {
	r := reader{lookup: lookup}
	c := Config{
		Environment:    r.text("ENV", "production"),
		Version:        r.text("APP_VERSION", r.text("GOLIVE_RELEASE", "dev")),
		Host:           r.text("HOST", ""),
		Port:           r.number("PORT", 8080, 1, 65535),
		DatabaseURL:    r.database(),
		DatabaseConns:  int32(r.number("DB_POOL_MAX", 25, 1, 1000)),
		RedisURL:       Secret(r.url("REDIS_URL", "", "redis", "rediss", "unix")),
		JWTSecret:      r.secret("JWT_SECRET", 32),
		AccessLife:     r.duration("JWT_EXPIRY", 15*time.Minute),
		RefreshLife:    r.duration("REFRESH_EXPIRY", 30*24*time.Hour),
		Origins:        r.origins("CORS_ORIGINS"),
		TrustedProxies: r.networks("TRUSTED_PROXIES", "127.0.0.0/8,::1/128"),
		RateRequests:   r.number("RATE_LIMIT_REQUESTS", 100, 1, 1_000_000),
		RateWindow:     time.Duration(r.number("RATE_LIMIT_WINDOW", 3600, 1, 86400)) * time.Second,
		LogLevel:       r.level("LOG_LEVEL"),
	}
	return c, errors.Join(r.faults...)
}

type reader struct {
	lookup func(string) (string, bool)
	faults []error
}

func (r *reader) fault(name, what string) {
	r.faults = append(r.faults, fmt.Errorf("%s %s", name, what))
}

func (r *reader) text(name, otherwise string) string {
	if value, _ := r.lookup(name); strings.TrimSpace(value) != "" {
		return strings.TrimSpace(value)
	}
	return otherwise
}

func (r *reader) number(name string, otherwise, least, most int) int {
	text := r.text(name, strconv.Itoa(otherwise))
	value, err := strconv.Atoi(text)
	if err != nil || value < least || value > most {
		r.fault(name, fmt.Sprintf("must be a number from %d to %d", least, most))
	}
	return value
}

func (r *reader) duration(name string, otherwise time.Duration) time.Duration {
	value, err := time.ParseDuration(r.text(name, otherwise.String()))
	if err != nil || value <= 0 {
		r.fault(name, "must be a duration such as 10s or 24h")
	}
	return value
}

func (r *reader) secret(name string, least int) Secret {
	value := r.text(name, "")
	switch {
	case value == "":
		r.fault(name, "is missing")
	case len(value) < least:
		r.fault(name, fmt.Sprintf("must have at least %d characters", least))
	}
	return Secret(value)
}

func (r *reader) url(name, otherwise string, schemes ...string) string {
	text := r.text(name, otherwise)
	if text == "" {
		r.fault(name, "is missing")
		return ""
	}
	parsed, err := url.Parse(text)
	if err != nil || !slices.Contains(schemes, parsed.Scheme) || parsed.Host == "" && parsed.Path == "" {
		r.fault(name, "must be a URL that begins with "+strings.Join(schemes, ":// or ")+"://")
	}
	return text
}

// database is DATABASE_URL, or made of DB_HOST, DB_PORT, DB_USER, DB_PASSWORD and DB_NAME when only they are given.
func (r *reader) database() Secret {
	if r.text("DATABASE_URL", "") != "" || r.text("DB_HOST", "") == "" {
		return Secret(r.url("DATABASE_URL", "", "postgres", "postgresql"))
	}
	made := url.URL{Scheme: "postgresql", Path: "/" + r.required("DB_NAME")}
	made.User = url.UserPassword(r.required("DB_USER"), r.text("DB_PASSWORD", ""))
	host, port := r.text("DB_HOST", ""), strconv.Itoa(r.number("DB_PORT", 5432, 1, 65535))
	query := url.Values{}
	if mode := r.text("DB_SSLMODE", ""); mode != "" {
		query.Set("sslmode", mode)
	}
	if strings.HasPrefix(host, "/") { // a socket's folder
		query.Set("host", host)
		query.Set("port", port)
	} else {
		made.Host = net.JoinHostPort(host, port)
	}
	made.RawQuery = query.Encode()
	return Secret(made.String())
}

func (r *reader) required(name string) string {
	value := r.text(name, "")
	if value == "" {
		r.fault(name, "is missing (or give DATABASE_URL)")
	}
	return value
}

// origins are scheme, host and port only: what a browser sends, to be compared letter by letter.
func (r *reader) origins(name string) []string {
	var found []string
	for part := range strings.SplitSeq(r.text(name, ""), ",") {
		part = strings.TrimRight(strings.TrimSpace(part), "/")
		if part == "" {
			continue
		}
		parsed, err := url.Parse(part)
		if err != nil || parsed.Scheme == "" || part != parsed.Scheme+"://"+parsed.Host || strings.Contains(part, "*") {
			r.fault(name, "must list origins such as https://app.example.com, without wildcards")
			return nil
		}
		found = append(found, strings.ToLower(part))
	}
	return found
}

func (r *reader) networks(name, otherwise string) []netip.Prefix {
	var found []netip.Prefix
	for part := range strings.SplitSeq(r.text(name, otherwise), ",") {
		network, err := netip.ParsePrefix(strings.TrimSpace(part))
		if err != nil {
			r.fault(name, "must list networks such as 10.0.0.0/8")
			return nil
		}
		found = append(found, network.Masked())
	}
	return found
}

func (r *reader) level(name string) slog.Level {
	var level slog.Level
	if err := level.UnmarshalText([]byte(strings.Replace(r.text(name, "info"), "warning", "warn", 1))); err != nil {
		r.fault(name, "must be debug, info, warning or error")
	}
	return level
}
