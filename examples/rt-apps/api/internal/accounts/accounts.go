// Package accounts is the domain: who has an account, and what may be said of them. No I/O.
package accounts

import (
	"errors"
	"net/mail"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// What the stores say, in the domain's words.
var (
	ErrNotFound = errors.New("there is no such account")
	ErrTaken    = errors.New("an account with this address exists")
	ErrDenied   = errors.New("the credentials are not valid")
)

// Invalid is what a person can correct, by field.
type Invalid map[string]string

func (e Invalid) Error() string {
	fields := make([]string, 0, len(e))
	for field, fault := range e {
		fields = append(fields, field+" "+fault)
	}
	slices.Sort(fields)
	return strings.Join(fields, "; ")
}

// User is an account as its owner sees it.
type User struct {
	ID        string    `json:"id"`
	Email     string    `json:"email"`
	Name      string    `json:"name"`
	Bio       string    `json:"bio"`
	CreatedAt time.Time `json:"created_at"`
}

// Registration asks for an account.
type Registration struct {
	Email    string `json:"email"`
	Password string `json:"password"`
	Name     string `json:"name"`
}

// Change is what a profile is to become; what is nil stays.
type Change struct {
	Name *string `json:"name"`
	Bio  *string `json:"bio"`
}

// Clean is the registration without the space around it, or an Invalid of every fault.
func (r Registration) Clean() (Registration, error) {
	faults := Invalid{}
	r.Email, r.Name = strings.TrimSpace(r.Email), strings.TrimSpace(r.Name)
	if address, err := mail.ParseAddress(r.Email); err != nil || address.Address != r.Email || len(r.Email) > 254 {
		faults["email"] = "must be an e-mail address"
	}
	if n := utf8.RuneCountInString(r.Password); n < 8 || n > 128 {
		faults["password"] = "must have 8 to 128 characters"
	}
	checkText(faults, "name", r.Name, 1, 80)
	return r, faults.orNil()
}

// Clean is the change without the space around it, or an Invalid of every fault.
func (c Change) Clean() (Change, error) {
	faults := Invalid{}
	if c.Name != nil {
		c.Name = new(strings.TrimSpace(*c.Name))
		checkText(faults, "name", *c.Name, 1, 80)
	}
	if c.Bio != nil {
		c.Bio = new(strings.TrimSpace(*c.Bio))
		checkText(faults, "bio", *c.Bio, 0, 1000)
	}
	return c, faults.orNil()
}

func checkText(faults Invalid, field, text string, least, most int) {
	switch n := utf8.RuneCountInString(text); {
	case n < least:
		faults[field] = "must not be empty"
	case n > most:
		faults[field] = "is too long"
	case !utf8.ValidString(text) || strings.ContainsRune(text, 0):
		faults[field] = "holds a character that cannot be stored"
	}
}

func (e Invalid) orNil() error {
	if len(e) == 0 {
		return nil
	}
	return e
}
