package auth

import (
	"errors"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

var tokens = Tokens{Key: "0123456789abcdef0123456789abcdef", Life: time.Hour}

func TestTokens(t *testing.T) {
	token, err := tokens.Issue("ana", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if user, err := tokens.User("bearer " + token); err != nil || user != "ana" {
		t.Error(user, err)
	}
	late, _ := tokens.Issue("ana", time.Now().Add(-2*time.Hour))
	other, _ := Tokens{Key: "another key, and long enough too", Life: time.Hour}.Issue("ana", time.Now())
	unsigned, _ := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.RegisteredClaims{
		Issuer: issuer, Subject: "ana", ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Hour)),
	}).SignedString(jwt.UnsafeAllowNoneSignatureType)
	for _, header := range []string{"", "Bearer", token, "Basic " + token, "Bearer x." + token, "Bearer " + late, "Bearer " + other, "Bearer " + unsigned} {
		if _, err := tokens.User(header); !errors.Is(err, ErrDenied) {
			t.Errorf("accepted %q: %v", header, err)
		}
	}
}

func TestPasswords(t *testing.T) {
	hash, err := Hash("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if err := Check(hash, "correct horse"); err != nil {
		t.Error(err)
	}
	for _, hash := range []string{hash, ""} {
		if err := Check(hash, "battery staple"); !errors.Is(err, ErrDenied) {
			t.Error(err)
		}
	}
}

// Without an account, checking must cost what it costs with one.
func TestNobodyIsARealHash(t *testing.T) {
	start := time.Now()
	_ = Check("", "x")
	if took := time.Since(start); took < 5*time.Millisecond {
		t.Errorf("took %s: the hash of nobody is not one", took)
	}
}
