package accounts

import (
	"context"
	"errors"
	"strings"
	"testing"
)

func TestPasswords(t *testing.T) {
	ctx := t.Context()
	hash, err := Hash(ctx, "correct horse")
	if err != nil || !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Fatal(hash, err)
	}
	if again, _ := Hash(ctx, "correct horse"); again == hash {
		t.Error("two hashes share a salt")
	}
	if err := Check(ctx, hash, "correct horse"); err != nil {
		t.Error(err)
	}
	for _, hash := range []string{hash, ""} {
		if err := Check(ctx, hash, "battery staple"); !errors.Is(err, ErrDenied) {
			t.Error(err)
		}
	}
	for _, broken := range []string{"x", "$argon2id$v=19$m=1,t=0,p=1$AAAA$AAAA", "$argon2id$v=19$m=8,t=1,p=1$AAAA$", "$2a$10$abc"} {
		if err := Check(ctx, broken, "x"); err == nil || errors.Is(err, ErrDenied) {
			t.Errorf("%q: %v", broken, err)
		}
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	for range cap(turns) {
		turns <- struct{}{}
	}
	if _, err := Hash(ended, "x"); !errors.Is(err, context.Canceled) {
		t.Error("waits for its turn after the request ended:", err)
	}
	for range cap(turns) {
		<-turns
	}
}

func TestEveryFaultIsTold(t *testing.T) {
	_, err := Registration{Email: "Ana <a@b>", Password: "short", Name: " "}.Clean()
	if faults, ok := errors.AsType[Invalid](err); !ok || len(faults) != 3 {
		t.Error(err)
	}
	long, bad := strings.Repeat("x", 81), "a\x00"
	_, err = Change{Name: &long, Bio: &bad}.Clean()
	if faults, ok := errors.AsType[Invalid](err); !ok || len(faults) != 2 {
		t.Error(err)
	}
	clean, err := Registration{Email: " ana@example.com ", Password: "  spaces count ", Name: " Ana "}.Clean()
	if err != nil || clean.Email != "ana@example.com" || clean.Name != "Ana" || clean.Password != "  spaces count " {
		t.Errorf("%+v %v", clean, err)
	}
	if _, err := (Change{}).Clean(); err != nil {
		t.Error(err)
	}
}
