// Package limit counts requests in Redis, for all instances together.
package limit

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Limiter allows Requests a Window on average and at most as many at once (the generic cell rate algorithm, ITU-T
// I.371). One key a caller holds one time stamp and goes by itself, so memory is bounded by who called within a window.
type Limiter struct {
	Redis    *redis.Client
	Requests int
	Window   time.Duration
}

// Verdict is about one request.
type Verdict struct {
	Allowed   bool
	Remaining int
	// RetryAfter is until the next request is allowed, 0 when this one is.
	RetryAfter time.Duration
}

// The clock is Redis's own, so that instances need not agree; times are in microseconds.
var take = redis.NewScript(`
local clock = redis.call("TIME")
local now = clock[1] * 1000000 + clock[2]
local gap, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local due = math.max(tonumber(redis.call("GET", KEYS[1]) or now), now) + gap
local over = due - window - now
if over > 0 then return {0, 0, over} end
redis.call("SET", KEYS[1], string.format("%.0f", due), "PX", math.ceil((due - now) / 1000))
return {1, math.floor((now + window - due) / gap), 0}`)

// Take counts one request of a caller.
func (l *Limiter) Take(ctx context.Context, caller string) (Verdict, error) {
	gap := l.Window.Microseconds() / int64(l.Requests)
	got, err := take.Run(ctx, l.Redis, []string{"rtapps:rate:" + caller}, max(1, gap), l.Window.Microseconds()).Int64Slice()
	if err != nil {
		return Verdict{}, fmt.Errorf("counting a request: %w", err)
	}
	return Verdict{got[0] == 1, int(got[1]), time.Duration(got[2]) * time.Microsecond}, nil
}

// Address is where a request comes from. X-Forwarded-For is believed from a trusted proxy only, and only its last entry
// that is not such a proxy: what stands before it was written by the caller. IPv6 counts by /64, one customer's share.
func Address(r *http.Request, trusted []netip.Prefix) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return "unknown"
	}
	address := peer.Addr().Unmap()
	entries := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(entries) - 1; i >= 0 && contains(trusted, address); i-- {
		next, err := netip.ParseAddr(strings.TrimSpace(entries[i]))
		if err != nil {
			break
		}
		address = next.Unmap().WithZone("")
	}
	if address.Is6() {
		return netip.PrefixFrom(address, 64).Masked().String()
	}
	return address.String()
}

func contains(networks []netip.Prefix, address netip.Addr) bool {
	for _, network := range networks {
		if network.Contains(address) {
			return true
		}
	}
	return false
}
