"""Compression: text is sent packed, and caches know."""

from __future__ import annotations

from golive.checks.model import Family, Fix, Outcome, Setting, failed, not_applicable, passed, warned
from golive.checks.site import Site
from golive.checks.web import Exchange
from golive.units import human_size

family = Family("compression", "How much goes over the network for the same page.")
SMALL = 1400
"""Bytes that go in one packet anyway."""
_TEXT = ("text/", "application/javascript", "application/json", "application/xml", "image/svg")
_FIX = Fix(
    "compress text: golive's edge does; in nginx gzip on and gzip_types, in Caddy encode zstd gzip",
    (Setting(("edge", "compression"), True),),
)
_FIELDS = ("content-type", "content-encoding", "content-length", "vary")


async def _pairs(site: Site) -> list[tuple[Exchange, Exchange]]:
    """The page and its largest files that are text, plain and packed."""
    urls = [(await site.home()).url, *(a.url for a in await site.assets())]
    plain = await site.web.all(dict.fromkeys(urls), {"accept-encoding": "identity"})
    answers = [one for one in plain if isinstance(one, Exchange)]
    texts = [p for p in answers if p.ok and p.header("content-type").startswith(_TEXT) and len(p.body) > SMALL]
    largest = sorted(texts, key=lambda p: -len(p.body))[:3]
    packed = await site.web.all([p.url for p in largest], {"accept-encoding": "zstd, br, gzip"})
    return [(one, two) for one, two in zip(largest, packed, strict=True) if isinstance(two, Exchange)]


@family.site(
    "text",
    "Pages, scripts and styles are compressed",
    "Text is three to five times as long unpacked; on a phone that is seconds.",
    answers="datifyy.15",
)
async def text(site: Site) -> Outcome:
    pairs = await _pairs(site)
    if not pairs:
        return not_applicable("no text that is longer than a packet")
    bare = [(plain, packed) for plain, packed in pairs if not packed.header("content-encoding")]
    if bare:
        plain, packed = bare[0]
        said = f"{len(bare)} of {len(pairs)} are sent as they are, the largest {human_size(len(plain.body))}"
        return failed(said, packed.evidence(*_FIELDS), fix=_FIX)
    before, after = sum(len(p.body) for p, _ in pairs), sum(len(p.body) for _, p in pairs)
    return passed(f"{human_size(before)} are sent as {human_size(after)}", pairs[0][1].evidence(*_FIELDS))


@family.site(
    "modern",
    "Brotli or zstd, not only gzip",
    "Every browser takes them, and they are a fifth smaller.",
)
async def modern(site: Site) -> Outcome:
    pairs = [packed for _, packed in await _pairs(site) if packed.header("content-encoding")]
    if not pairs:
        return not_applicable("nothing is compressed")
    kinds = {packed.header("content-encoding").lower() for packed in pairs}
    if kinds & {"br", "zstd"}:
        return passed(", ".join(sorted(kinds)), pairs[0].evidence(*_FIELDS))
    fix = (
        "turn zstd or brotli on in the server; behind golive's edge, the app's own gzip off (Next.js: compress: false)"
    )
    return warned(", ".join(sorted(kinds)), pairs[0].evidence(*_FIELDS), fix=fix)


@family.site(
    "vary",
    "Caches keep packed and plain answers apart",
    "A cache between would give packed bytes to a program that cannot unpack them.",
    answers="rt-apps.15",
)
async def vary(site: Site) -> Outcome:
    pairs = [packed for _, packed in await _pairs(site) if packed.header("content-encoding")]
    if not pairs:
        return not_applicable("nothing is compressed")
    lacking = [p for p in pairs if "accept-encoding" not in p.header("vary").lower() and p.header("vary") != "*"]
    if lacking:
        fix = "send vary: accept-encoding with what is compressed"
        return failed("no Vary: Accept-Encoding", lacking[0].evidence(*_FIELDS), fix=fix)
    return passed("Vary: Accept-Encoding", pairs[0].evidence(*_FIELDS))


@family.site(
    "honest",
    "Nobody gets what they did not ask for",
    "A program without gzip that gets gzip anyway stores garbage.",
    answers="rt-apps.15",
)
async def honest(site: Site) -> Outcome:
    plain = await site.web.ask((await site.home()).url, headers={"accept-encoding": "identity"})
    encoding = plain.header("content-encoding").lower()
    if encoding not in ("", "identity"):
        return failed(
            f"{encoding} although only plain was asked for", plain.evidence(*_FIELDS), fix="heed Accept-Encoding"
        )
    return passed("plain where plain was asked for", plain.evidence(*_FIELDS))
