package config

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func from(values map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := values[name]
		return value, ok
	}
}

var complete = map[string]string{
	"DATABASE_URL": "postgresql://rtapps:pw@db.example/rtapps",
	"REDIS_URL":    "redis://cache.example:6379",
	"JWT_SECRET":   strings.Repeat("s", 32),
}

func with(changes map[string]string) map[string]string {
	values := map[string]string{}
	for name, value := range complete {
		values[name] = value
	}
	for name, value := range changes {
		values[name] = value
	}
	return values
}

func TestEveryMissingVariableIsNamedAtOnce(t *testing.T) {
	_, err := Load(from(nil))
	if err == nil {
		t.Fatal("an empty environment was accepted")
	}
	for _, name := range []string{"DATABASE_URL", "REDIS_URL", "JWT_SECRET"} {
		if !strings.Contains(err.Error(), name+" is missing") {
			t.Errorf("%s is not named in %q", name, err)
		}
	}
}

func TestWhatIsWrong(t *testing.T) {
	cases := map[string]map[string]string{
		"PORT must be":                  {"PORT": "http"},
		"JWT_SECRET must have at least": {"JWT_SECRET": "short-value"},
		"REDIS_URL must be a URL":       {"REDIS_URL": "cache:6379"},
		"CORS_ORIGINS must list":        {"CORS_ORIGINS": "*"},
		"JWT_EXPIRY must be":            {"JWT_EXPIRY": "-1s"},
		"TRUSTED_PROXIES must list":     {"TRUSTED_PROXIES": "10.0.0.1"},
		"RATE_LIMIT_REQUESTS must be":   {"RATE_LIMIT_REQUESTS": "0"},
		"LOG_LEVEL must be":             {"LOG_LEVEL": "loud"},
		"DB_USER is missing":            {"DATABASE_URL": "", "DB_HOST": "db", "DB_NAME": "x"},
	}
	for want, changes := range cases {
		_, err := Load(from(with(changes)))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", changes, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "short-value") {
			t.Error("the error shows a secret")
		}
	}
}

func TestDefaultsAndParts(t *testing.T) {
	c, err := Load(from(with(map[string]string{
		"DATABASE_URL": "",
		"DB_HOST":      "db.example",
		"DB_USER":      "ana",
		"DB_PASSWORD":  "p@ss/word",
		"DB_NAME":      "rtapps",
		"CORS_ORIGINS": "https://a.example/, https://b.example:8443",
	})))
	if err != nil {
		t.Fatal(err)
	}
	if got := c.DatabaseURL.Reveal(); got != "postgresql://ana:p%40ss%2Fword@db.example:5432/rtapps" {
		t.Error(got)
	}
	if c.Address() != ":8080" || c.DatabaseConns != 25 {
		t.Errorf("%+v", c)
	}
	if fmt.Sprint(c.Origins) != "[https://a.example https://b.example:8443]" {
		t.Error(c.Origins)
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	key := Secret("signing-value")
	encoded, _ := json.Marshal(map[string]any{"key": key})
	var logged strings.Builder
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "key", key, "config", Config{JWTSecret: key})
	for _, text := range []string{fmt.Sprint(key), fmt.Sprintf("%v %+v %#v %q", key, key, key, key), string(encoded), logged.String()} {
		if strings.Contains(text, "signing") {
			t.Errorf("shown: %s", text)
		}
	}
}
