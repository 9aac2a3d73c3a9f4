-- wrk asks the resolver for the URL's host; the hosts measured here are names of this machine that only TLS needs (SNI).
local port = os.getenv("BENCH_PORT")
local pause = tonumber(os.getenv("BENCH_DELAY_MS") or "0")

wrk.resolve = function(host, service)
  wrk.addrs = {}
  for _, address in ipairs(wrk.lookup("127.0.0.1", port)) do
    if wrk.connect(address) then
      table.insert(wrk.addrs, address)
    end
  end
end

wrk.method = os.getenv("BENCH_METHOD") or "GET"
local body = os.getenv("BENCH_BODY")
if body and #body > 0 then
  wrk.body = body
  wrk.headers["Content-Type"] = "application/json"
end

if pause > 0 then
  delay = function()
    return pause
  end
end

done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    'BENCH {"requests": %d, "seconds": %.6f, "connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d, '
      .. '"p50_ms": %.3f, "p99_ms": %.3f, "max_ms": %.3f}\n',
    summary.requests, summary.duration / 1e6, e.connect, e.read, e.write, e.status, e.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3))
end
