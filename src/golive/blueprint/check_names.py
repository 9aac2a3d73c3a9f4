"""Names of the checklist's families and checks, for golive.toml to be judged by: `golive.checks` is above this package.

A test holds them to the catalogue.
"""

_NAMES = """
accessibility, accessibility-description, accessibility-headings, accessibility-images, accessibility-indexable,
accessibility-labels, accessibility-language, accessibility-viewport, alerts, alerts-coverage, alerts-tracker,
alerts-uptime, alerts-visits, backups, backups-elsewhere, backups-key, backups-made, backups-proven, backups-writes,
build, build-artifacts, build-ci, build-locked, build-tests, caching, caching-assets, caching-health, caching-html,
caching-shared, caching-validators, caching-versions, capacity, capacity-disk, capacity-limits, capacity-memory,
compression, compression-honest, compression-modern, compression-text, compression-vary, content, content-assets,
content-charset, content-debug, content-dotfiles, content-errors, content-favicon, content-integrity, content-listing,
content-missing, content-mixed, content-robots, content-sourcemaps, content-title, content-types, cookies,
cookies-httponly, cookies-samesite, cookies-scope, cookies-secure, cors, cors-lookalike, cors-null, cors-own,
cors-stranger, cors-vary, cost, cost-bodies, cost-instances, cost-vendors, database, database-advice,
database-answers, database-connections, database-current, database-private, dependencies, dependencies-holes,
dependencies-images, dependencies-runtime, dns, dns-address, dns-caa, dns-ipv6, dns-servers, dns-www, environment,
environment-addresses, environment-complete, environment-declared, environment-production, environment-secret,
features, features-mail, features-model, features-search, features-sign-in, features-uploads, headers, headers-api,
headers-csp, headers-frames, headers-leaks, headers-nosniff, headers-permissions, headers-referrer, health,
health-answers, health-discreet, health-endpoint, health-honest, health-steady, load, load-burst, load-room,
load-steady, logs, logs-access, logs-errors, logs-levels, migrations, migrations-applied, migrations-known,
migrations-safe, migrations-whole, outage, outage-alive, outage-database, outage-recovers, outage-redis, performance,
performance-blocking, performance-first-byte, performance-http2, performance-redirects, performance-weight, rate
limit, rate-limit-enforced, rate-limit-recovers, rate-limit-spoofed, rate-limit-told, redis, redis-advice,
redis-answers, redis-kept, redis-password, release, release-audit, release-endpoints, release-live, release-probes,
release-requests, release-rollback, release-steady, release-verified, restore, restore-filled, restore-time,
restore-works, secrets, secrets-age, secrets-bundle, secrets-shared, secrets-source, secrets-strength, tls,
tls-ciphers, tls-dates, tls-hsts, tls-https, tls-key, tls-modern, tls-names, tls-redirect, tls-trust, tls-versions
"""
CHECK_NAMES = frozenset(" ".join(_NAMES.split()).split(", "))
