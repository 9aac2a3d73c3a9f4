"""What the site shows, and what it should not."""

from __future__ import annotations

import re
from urllib.parse import urljoin, urlsplit

from golive.checks.model import Evidence, Family, Outcome, Unanswered, failed, not_applicable, passed, warned
from golive.checks.site import Site
from golive.checks.web import Exchange

family = Family("content", "Whether pages are whole, and nothing of the kitchen is served.")
_TRACE = re.compile(
    r"Traceback \(most recent call last\)|at [\w.<>]+ \([^)\n]*\.(?:js|ts|mjs):\d+:\d+\)|goroutine \d+ \[|"
    r"\.java:\d+\)|<title>(?:Werkzeug|Django|Whoops)|DEBUG = True|SQLSTATE\[|psycopg2?\.errors|PG::\w+Error"
)
_LISTING = re.compile(r"<title>\s*(Index of|Directory listing)|<h1>\s*(Index of|Directory listing)", re.IGNORECASE)
_ENV_LINE = re.compile(r"^(?:export )?([A-Z][A-Z0-9_]{2,})=", re.MULTILINE)
_MAP = re.compile(rb"//[#@]\s*sourceMappingURL=([^\s'\"]{1,300})\s*$")


@family.site(
    "title",
    "The page has a title",
    "It is the name of the tab, the bookmark and the search result.",
)
async def title(site: Site) -> Outcome:
    page = await site.page()
    evidence = Evidence(f"GET {page.url}", f"<title>{page.title}</title>")
    if not page.title:
        return failed("none", evidence, fix="write a <title>")
    if page.title.lower() in (
        "react app",
        "vite app",
        "vite + react",
        "create next app",
        "document",
        "untitled",
        "home",
    ):
        return warned(f"“{page.title}” is the template's", evidence, fix="write a <title> of your own")
    return passed(page.title[:100], evidence)


@family.site(
    "charset",
    "The page says how its letters are written",
    "Else umlauts and other scripts are garbage for some.",
)
async def charset(site: Site) -> Outcome:
    home = await site.html()
    sent = re.search(r"charset=[\"']?([\w-]+)", home.header("content-type"), re.IGNORECASE)
    said = sent[1].lower() if sent else (await site.page()).charset
    evidence = home.evidence("content-type")
    if not said:
        return failed("neither in the header nor in the page", evidence, fix='<meta charset="utf-8">')
    if said.replace("-", "") != "utf8":
        return warned(said, evidence, fix="write UTF-8, and say so")
    return passed(said, evidence)


@family.site(
    "mixed",
    "Nothing is loaded over plain HTTP",
    "Browsers refuse such scripts, and the page breaks for everybody.",
    answers="rt-apps.3 akashic.2",
)
async def mixed(site: Site) -> Outcome:
    page = await site.page()
    if not page.url.startswith("https:"):
        return not_applicable("the page itself is plain HTTP")
    plain = [url for url in (*page.scripts, *page.styles, *page.images, *page.forms) if url.startswith("http:")]
    evidence = Evidence(f"GET {page.url}", "\n".join(plain[:10]) or "every script, style, picture and form is https")
    if plain:
        return failed(
            f"{len(plain)} over http://", evidence, fix="write the addresses with https:// or without a scheme"
        )
    return passed("all over HTTPS", evidence)


@family.site(
    "missing",
    "What is not there is answered 404",
    "A 200 for everything hides broken links from you, and fills search engines with nothing.",
    answers="rt-apps.20 datifyy.10",
)
async def missing(site: Site) -> Outcome:
    answer = await site.missing()
    evidence = answer.evidence("content-type", "location")
    if answer.status in (404, 410):
        return passed(str(answer.status), evidence)
    if answer.status >= 500:
        return failed(f"it fails with {answer.status}", evidence, fix="answer 404")
    if answer.ok:
        file = await site.web.ask(site.url(f"{site.nowhere}.js"))
        if file.status == 404:
            return passed("pages are left to the app in the browser; files that are missing get 404", file.evidence())
        return warned("200 for a file that does not exist", file.evidence("content-type"), fix="answer 404 for files")
    return warned(f"{answer.status} instead", evidence, fix="answer 404")


@family.site(
    "assets",
    "Everything the page loads is there",
    "A script that answers 404 is a blank page.",
    answers="rt-apps.20 datifyy.10",
)
async def assets(site: Site) -> Outcome:
    page = await site.page()
    urls = page.assets[:8]
    if not urls:
        return not_applicable("the page loads no scripts or styles of its own")
    asked = await site.web.all(urls)
    for url, answer in zip(urls, asked, strict=True):
        if isinstance(answer, Unanswered):
            return failed(str(answer), fix="see why it does not answer")
        if isinstance(answer, Exchange):
            if not answer.ok and answer.status not in (301, 302, 307, 308):
                return failed(f"{url} answers {answer.status}", answer.evidence("content-type"), fix="deploy it")
            if answer.type == "text/html":
                text = f"{url} answers with a page, not a script"
                return failed(text, answer.evidence("content-type"), fix="serve the file, or take it out of the page")
    return passed(f"{len(urls)} scripts and styles answer", Evidence(f"GET {page.url}", "\n".join(urls)))


@family.site(
    "types",
    "Files have the type they are",
    "With nosniff a script of another type is not run.",
    answers="rt-apps.15",
)
async def types(site: Site) -> Outcome:
    found = await site.assets()
    if not found:
        return not_applicable("the page loads no scripts or styles of its own")
    for answer in found:
        suffix = urlsplit(answer.url).path.rpartition(".")[2]
        good = {"js": ("javascript",), "mjs": ("javascript",), "css": ("css",)}.get(suffix)
        if good and not any(word in answer.type for word in good):
            text = f"{urlsplit(answer.url).path} is sent as {answer.type or 'nothing'}"
            return failed(text, answer.evidence("content-type"), fix="send the type of the file")
    return passed(f"{len(found)} as they should be", found[0].evidence("content-type"))


@family.site(
    "dotfiles",
    "Files of the kitchen are not served",
    "A .env holds every password; a .git the whole source with its history.",
    answers="datifyy.16 rt-apps.11",
)
async def dotfiles(site: Site) -> Outcome:
    paths = ("/.env", "/.git/HEAD", "/.env.local", "/.DS_Store")
    asked = await site.web.all(map(site.url, paths))
    answers = [one for one in asked if isinstance(one, Exchange)]
    if not answers:
        raise Unanswered(str(asked[0]))
    for answer in answers:
        if not answer.ok or answer.type == "text/html":
            continue
        path = urlsplit(answer.url).path
        if names := _ENV_LINE.findall(answer.text):
            came = "\n".join(f"{name}=••••••" for name in names[:20])
            fix = "take it out of what is served, and give every value in it a new one"
            return failed(f"{path} is served, {len(names)} variables", Evidence(f"GET {answer.url}", came), fix=fix)
        if path.endswith("HEAD") and re.match(r"ref: refs/|[0-9a-f]{40}\s*$", answer.text):
            return failed(
                f"{path} is served: the repository can be fetched", answer.evidence(), fix="do not serve .git"
            )
        if path.endswith(".DS_Store") and answer.content.startswith(b"\0\0\0\1Bud1"):
            return warned(f"{path} is served: it lists file names", answer.evidence(), fix="delete it")
    return passed("none of them", *(answer.evidence("content-type") for answer in answers[:2]))


_FOLDERS = ("/uploads/", "/files/", "/static/", "/images/", "/backup/")
"""Where listings are found that nobody links to."""


@family.site(
    "listing",
    "Folders are not listed",
    "A listing shows every file that nobody links to.",
    answers="rt-apps.11",
)
async def listing(site: Site) -> Outcome:
    folders = [urljoin(url, ".") for url in (await site.page()).assets[:6]]
    urls = [url for url in dict.fromkeys(folders) if urlsplit(url).path != "/"][:2]
    home = await site.home()
    asked = await site.web.all(dict.fromkeys([*urls, *map(site.url, _FOLDERS)]))
    answers = [home, *(one for one in asked if isinstance(one, Exchange))]
    for answer in answers:
        if answer.ok and _LISTING.search(answer.text[:4000]):
            return failed(f"{answer.url} is listed", answer.evidence(body=200), fix="turn listings off (autoindex off)")
    return passed("none", *(a.evidence("content-type") for a in answers[1:] or answers))


@family.site(
    "errors",
    "Errors do not show the program",
    "A stack trace says which versions run where, sometimes with values.",
    answers="rt-apps.11 datifyy.16",
)
async def errors(site: Site) -> Outcome:
    answers = [await site.missing(), await site.web.ask(site.url(f"{site.nowhere}?id=%00%27%22%5B"))]
    for answer in answers:
        if found := _TRACE.search(answer.text):
            fix = "turn debug mode off in production"
            evidence = Evidence(f"GET {answer.url}", f"{answer.status} … {found[0][:80]} …")
            return failed("a trace of the program", evidence, fix=fix)
    return passed("none", answers[-1].evidence("content-type"))


@family.site(
    "debug",
    "Doors for developers are closed",
    "Profiles and heap dumps hold what is in memory: secrets too.",
    answers="datifyy.16 rt-apps.11",
)
async def debug(site: Site) -> Outcome:
    marks = {
        "/debug/pprof/": "pprof",
        "/actuator/env": "propertySources",
        "/__debug__/": "djdt",
        "/_profiler/": "Symfony Profiler",
        "/server-status": "Apache Server Status",
    }
    asked = await site.web.all(map(site.url, marks))
    answers = [one for one in asked if isinstance(one, Exchange)]
    for answer in answers:
        path = urlsplit(answer.url).path
        if answer.ok and marks.get(path, "\0") in answer.text:
            return failed(
                f"{path} is open", answer.evidence("content-type"), fix="serve it on loopback only, or not at all"
            )
    if not answers:
        raise Unanswered("none of them answered")
    return passed("none of the usual ones", answers[0].evidence("content-type"))


@family.site(
    "sourcemaps",
    "Source maps are not public",
    "They are the frontend's source with its comments.",
    answers="rt-apps.11",
)
async def sourcemaps(site: Site) -> Outcome:
    scripts = [a for a in await site.assets() if "javascript" in a.type]
    if not scripts:
        return not_applicable("the page loads no scripts of its own")
    for script in scripts:
        named = _MAP.search(script.content[-600:].rstrip())
        if not named or named[1].startswith(b"data:"):
            continue
        answer = await site.web.ask(urljoin(script.url, named[1].decode(errors="replace")))
        if answer.ok and answer.text.lstrip().startswith("{"):
            fix = "leave them out of the build's output, or give them to the error tracker only"
            return warned(f"{urlsplit(answer.url).path} is served", answer.evidence("content-type"), fix=fix)
    return passed(f"{len(scripts)} scripts, no map that is served", scripts[0].evidence("content-type"))


@family.site(
    "robots",
    "Search engines are told what they may read",
    "Without it each asks in vain, and one line too many takes the site out of every search.",
)
async def robots(site: Site) -> Outcome:
    await site.html()  # only where there are pages to find
    answer = await site.web.ask(site.url("/robots.txt"))
    if not answer.ok or answer.type == "text/html":
        return warned("there is none", answer.evidence("content-type"), fix="write a robots.txt")
    rules = [line.partition("#")[0].strip().lower().replace(" ", "") for line in answer.text.splitlines()]
    everyone = rules.index("user-agent:*") if "user-agent:*" in rules else None
    after = [] if everyone is None else rules[everyone + 1 :]
    own = after[: next((i for i, rule in enumerate(after) if rule.startswith("user-agent:")), len(after))]
    if "disallow:/" in own:
        return warned("it forbids everything", answer.evidence(body=300), fix="allow what the public should find")
    return passed("there is one", answer.evidence(body=200))


@family.site(
    "favicon",
    "The site has an icon",
    "Every browser asks for it; without one each visit logs an error.",
)
async def favicon(site: Site) -> Outcome:
    page = await site.page()
    named = page.links.get("icon", [])
    url = named[0] if named else site.url("/favicon.ico")
    if not named and any("data:" in link for link in page.links.get("icon", [])):
        return passed("in the page")
    answer = await site.web.ask(url)
    if answer.ok and answer.type != "text/html":
        return passed(urlsplit(url).path, answer.evidence("content-type"))
    return warned("there is none", answer.evidence("content-type"), fix='add one: <link rel="icon" href="/icon.svg">')


@family.site(
    "integrity",
    "Scripts of other sites are the ones that were meant",
    "Whoever breaks into that site is in this one too.",
    answers="rt-apps.11 datifyy.16",
)
async def integrity(site: Site) -> Outcome:
    page = await site.page()
    own = urlsplit(page.url).netloc
    others = [url for url in dict.fromkeys((*page.scripts, *page.styles)) if urlsplit(url).netloc != own]
    if not others:
        return not_applicable("all scripts and styles are its own")
    bare = [url for url in others if url in page.unsigned]
    evidence = Evidence(f"GET {page.url}", "\n".join(bare[:10] or others[:10]))
    if bare:
        return warned(f"{len(bare)} without integrity", evidence, fix="serve them yourself, or add integrity=")
    return passed(f"{len(others)} with integrity", evidence)
