package limit

import (
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/rt-apps/api/internal/testkit"
)

func TestAddress(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")}
	for _, c := range []struct{ peer, forwarded, want string }{
		{"203.0.113.9:1234", "", "203.0.113.9"},
		{"203.0.113.9:1234", "198.51.100.1", "203.0.113.9"}, // not from a proxy of ours: invented
		{"127.0.0.1:1", "198.51.100.1", "198.51.100.1"},
		{"127.0.0.1:1", "1.1.1.1, 198.51.100.1, 10.0.0.7", "198.51.100.1"},
		{"127.0.0.1:1", "nonsense", "127.0.0.1"},
		{"127.0.0.1:1", "", "127.0.0.1"},
		{"[::ffff:127.0.0.1]:1", "198.51.100.1", "198.51.100.1"},
		{"[2001:db8:1:2:3::4]:1", "", "2001:db8:1:2::/64"},
		{"@", "1.1.1.1", "unknown"},
	} {
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{}}
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		if got := Address(r, trusted); got != c.want {
			t.Errorf("%s forwarding %q: %s, not %s", c.peer, c.forwarded, got, c.want)
		}
	}
}

func TestLimiter(t *testing.T) {
	_, url := testkit.Redis(t)
	options, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	defer client.Close()
	hourly := &Limiter{client, 100, time.Hour}

	var allowed atomic.Int32
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			for range 10 {
				if v, err := hourly.Take(t.Context(), "ana"); err != nil {
					t.Error(err)
				} else if v.Allowed {
					allowed.Add(1)
				}
			}
		})
	}
	all.Wait()
	if allowed.Load() != 100 {
		t.Errorf("%d of 200 at once were allowed, not 100", allowed.Load())
	}
	refused, err := hourly.Take(t.Context(), "ana")
	if err != nil || refused.Allowed || refused.RetryAfter < 30*time.Second || refused.RetryAfter > 36*time.Second {
		t.Errorf("%+v %v", refused, err)
	}
	if other, err := hourly.Take(t.Context(), "bo"); err != nil || !other.Allowed || other.Remaining != 99 {
		t.Errorf("%+v %v", other, err)
	}
	keys, err := client.Keys(t.Context(), "*").Result()
	if err != nil || len(keys) != 2 {
		t.Errorf("%v %v", keys, err)
	}
	for _, key := range keys {
		if life, err := client.PTTL(t.Context(), key).Result(); err != nil || life <= 0 || life > time.Hour {
			t.Errorf("%s lives for %s: %v", key, life, err)
		}
	}

	quick := &Limiter{client, 2, 200 * time.Millisecond}
	for range 2 {
		if v, err := quick.Take(t.Context(), "cy"); err != nil || !v.Allowed {
			t.Fatalf("%+v %v", v, err)
		}
	}
	testkit.Eventually(t, "the next is allowed", func() bool { v, err := quick.Take(t.Context(), "cy"); return err == nil && v.Allowed })
}
