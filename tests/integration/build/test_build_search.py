"""Secrets are found in a checkout and in its real git history, and what is none is not."""

from __future__ import annotations

import base64
import json
import random
import string
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from golive.build.finding import VALUE, Finding, judge
from golive.build.search import Bundle, Request, Search
from golive.build.shapes import Shapes, version

ROOT = Path(__file__).resolve().parents[3]
RANDOM = random.Random(4711)
ANY = string.ascii_letters + string.digits
HEX = "0123456789abcdef"
UPPER = string.ascii_uppercase + string.digits


def some(length: int, alphabet: str = ANY) -> str:
    return "".join(RANDOM.choice(alphabet) for _ in range(length))


def key(kind: str, lines: int) -> str:
    body = "\n".join(base64.b64encode(RANDOM.randbytes(48)).decode() for _ in range(lines))
    return f"-----BEGIN {kind}PRIVATE KEY-----\n{body}\n-----END {kind}PRIVATE KEY-----"


def web_token() -> str:
    parts = ({"alg": "HS256", "typ": "JWT"}, {"sub": "ann", "role": "service_role", "exp": 4102444800})
    return ".".join([*(base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts), some(43)])


PLANTED = {
    "stripe": "sk_" + "live_" + some(24),
    "stripe, restricted": "rk_" + "live_" + some(24),
    "stripe, webhook": "whsec_" + some(32),
    "aws": "AKIA" + some(16, string.ascii_uppercase + "234567"),
    "google": "AIza" + some(35),
    "github": "ghp_" + some(36),
    "github, fine-grained": f"github_pat_{some(22)}_{some(59)}",
    "gitlab": "glpat-" + some(20),
    "slack": f"xoxb-{some(12, '123456789')}-{some(13, '123456789')}-{some(24)}",
    "slack, webhook": f"https://hooks.slack.com/services/T{some(8, UPPER)}/B{some(8, UPPER)}/{some(24)}",
    "openai": f"sk-proj-{some(58)}T3Blbk" + f"FJ{some(58)}",
    "anthropic": f"sk-ant-api03-{some(93)}AA",
    "sendgrid": f"SG.{some(22)}.{some(43)}",
    "twilio": "SK" + some(32, HEX),
    "npm": "npm_" + some(36),
    "pypi": "pypi-AgEIcHlwaS5vcmc" + some(70),
    "hugging face": "hf_" + some(34, string.ascii_letters),
    "digitalocean": "dop_v1_" + some(64, HEX),
    "shopify": "shpat_" + some(32, HEX),
    "telegram": f"{some(9, '123456789')}:AA{some(33)}",
    "discord": f"https://discord.com/api/webhooks/{some(18, '123456789')}/{some(68)}",
    "square": "sq0csp-" + some(43),
    "linear": "lin_api_" + some(40),
    "notion": f"ntn_{some(11, string.digits)}{some(35)}",
    "vault": "hvs." + some(95),
    "databricks": "dapi" + some(32, HEX),
    "groq": "gsk_" + some(52),
    "resend": f"re_{some(8)}_{some(24)}",
    "new relic": "NRAK-" + some(27, UPPER),
    "grafana": f"glsa_{some(32)}_{some(8, HEX)}",
    "planetscale": "pscale_tkn_" + some(43),
    "supabase": "sbp_" + some(40, HEX),
    "perplexity": "pplx-" + some(48),
    "replicate": "r8_" + some(37),
    "private key": key("RSA ", 12),
    "private key, PKCS 8": key("", 3),
    "web token": web_token(),
    "mongodb": f"mongodb+srv://shop:{some(16)}@cluster0.ab1cd.mongodb.net/shop",
    "age": "AGE-SECRET-KEY-1" + some(58, "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"),
}
"""Made when the tests run: no file of this repository holds one."""
SCRIPT = ";".join(f"var v{n}=function(a){{return a+{n}}}" for n in range(200))


@pytest.fixture(scope="session")
def rules() -> Path:
    """Compiled once a machine."""
    folder = Path.home() / ".cache/golive-tests/secrets"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def shapes(rules: Path) -> Shapes:
    return Shapes(rules)


@pytest.fixture
def look(tmp_path: Path, rules: Path, checkout: Path) -> Callable[..., list[dict[str, Any]]]:
    """Search the checkout: what was found, or with `counted` how much was searched."""
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "secrets").symlink_to(rules)

    def run(folder: Path | None = None, *, counted: bool = False, **more: Any) -> Any:
        said: list[dict[str, Any]] = []
        place = folder or checkout
        base = {"sources": (".",), "memory": str(tmp_path / f"{place.name}.json"), "checkout": str(place)}
        search = Search(Request(cache=str(cache), rules=version(), **{**base, **more}), said.append)
        search.run()
        return search.summary if counted else [line for line in said if line["type"] == "finding"]

    return run


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(folder: Path, file: str, text: str) -> str:
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    git(folder, "add", "-f", file)
    git(folder, "commit", "-qm", file)
    return git(folder, "rev-parse", "HEAD")


def spots(found: list[dict[str, Any]]) -> list[tuple[str, str, int]]:
    return sorted((f["place"], f["file"], f["line"]) for f in found)


@pytest.mark.parametrize("kind", PLANTED)
def test_planted_tokens_are_found_by_line_and_column(shapes: Shapes, kind: str) -> None:
    token = PLANTED[kind]
    for before, after in (("\n\nkey = '", "'\n"), (f'\n\n{SCRIPT};k="', '";x()'), ("\n\nTOKEN=", "\n")):
        found = list(shapes.find((before + token + after).encode(), "src/settings.py"))
        assert found, before[:10]
        assert {shape.line for shape in found} == {3}
        assert found[0].secret in token
        assert found[0].column == len(before) - 1 + token.index(found[0].secret)


@pytest.mark.nightly
def test_the_examples_and_golive_itself_hold_none(look: Any, tmp_path: Path) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    found = [Finding(**{k: v for k, v in one.items() if k != "type"}) for one in look(ROOT)]
    assert not judge(found, ()).stops, found
    for example in sorted((ROOT / "examples").iterdir()):
        assert not look(example), example.name


@pytest.mark.parametrize(
    "text",
    [
        "API_KEY=changeme\nSTRIPE_KEY=sk_live_xxxxxxxxxxxxxxxxxxxxxxxx\nAWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE\n",
        "STRIPE_KEY=${STRIPE_KEY}\nOPENAI_API_KEY=sk-...\nTOKEN=<your-token>\n",
        "postgres://shop:shop@localhost:5432/shop\nmongodb://root:example@mongo:27017\n",
        'integrity="sha512-9NvFWmJdEOHpSGfNJKUJBqWfSgVIUyOFDHQlxL5bhJZ8F0sGz8uYEWlnL3fJ1Yv0rFfmA8FFAOmZuQFrPqTSZw=="\n',
        "commit 3f786850e387550fdab836ed7e6dc881de23001b\nuuid 014df517-39d1-4453-b7b3-9930c563627c\n",
        'curl -u admin:password1 https://api.example.com\n"client_id": "123456789012-abc.apps.googleusercontent.com"\n',
    ],
)  # fmt: skip
def test_what_is_none_is_not_found(shapes: Shapes, text: str) -> None:
    assert not [shape for shape in shapes.find(text.encode(), "README.md") if not shape.mild]


def test_values_and_tokens_in_the_work_tree(look: Any, checkout: Path) -> None:
    value = "hunter2-and-more-4711"
    encoded = base64.b64encode(f"user:{value}".encode()).decode()
    files = {
        "golive.toml": f'name = "x"\n[env.A]\ndefault = "{PLANTED["github"]}"\n',
        "src/a.py": f"x = 1\nkey = '{value}'\n",
        "src/b.py": f"\n\nauth = 'Basic {encoded}'\n",
        "web/c.js": f"pay('{PLANTED['stripe']}')\n",
        "image.bin": f"\0\0{PLANTED['stripe']}\n",
        ".env": f"KEY={value}\n",  # is in no artifact, and not in git
        "ignored/d.py": PLANTED["stripe"],
        ".gitignore": "ignored\n",
    }
    for name, text in files.items():
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text(text)
    found = look(values={"KEY": value})
    assert spots(found) == [
        ("work tree", "golive.toml", 3),
        ("work tree", "src/a.py", 2),
        ("work tree", "src/b.py", 3),
        ("work tree", "web/c.js", 1),
    ]
    assert {f["rule"] for f in found if f["file"].startswith("src")} == {VALUE}
    assert value not in json.dumps(found)
    assert PLANTED["stripe"] not in json.dumps(found)
    assert not look(public=(PLANTED["github"], PLANTED["stripe"]))
    shipped = look(sources=("ignored",))
    assert ("work tree", "ignored/d.py", 1) in spots(shipped)


def test_what_was_searched_is_not_searched_again(look: Any, checkout: Path) -> None:
    git(checkout, "init", "-q")
    commit(checkout, "a.py", "a = 1\n")
    commit(checkout, "b.py", "b = 1\n")
    first = look(counted=True)
    assert (first.files, first.versions) == (3, 2)
    again = look(counted=True)
    assert (again.files, again.versions) == (0, 0)
    commit(checkout, "b.py", "b = 2\n")
    after = look(counted=True)
    assert (after.files, after.versions) == (1, 1)
    assert look(counted=True, values={"A": "another-value-1"}).versions == 3, "another secret may be in old commits"


def test_a_token_in_the_history_is_found_with_the_commit_that_brought_it(look: Any, checkout: Path) -> None:
    git(checkout, "init", "-q")
    commit(checkout, "a.py", "a = 1\n")
    look()
    bad = commit(checkout, "pay.py", f"# pay\nkey = '{PLANTED['stripe']}'\n")
    commit(checkout, "pay.py", f"# pay\n\nkey = '{PLANTED['stripe']}'\n")
    commit(checkout, "pay.py", "key = None\n")
    git(checkout, "checkout", "-qb", "side", "HEAD~1")
    value = "hunter2-and-more-4711"
    other = commit(checkout, "tests/side.py", f"x = '{value}'\n")
    git(checkout, "checkout", "-q", "-")
    git(checkout, "gc", "-q")
    for _ in range(2):
        found = look(values={"KEY": value})
        assert sorted((f["file"], f["line"], f["commit"]) for f in found) == [
            ("pay.py", 2, bad),
            ("tests/side.py", 1, other),
        ]
    git(checkout, "branch", "-qD", "side")
    git(checkout, "reset", "-q", "--hard", "HEAD~3")
    assert not look(values={"KEY": value}), "it was taken out of the history"


def test_a_checkout_inside_a_larger_repository_has_the_history_of_its_folder(look: Any, checkout: Path) -> None:
    git(checkout, "init", "-q")
    commit(checkout, "other/pay.py", f"key = '{PLANTED['stripe']}'\n")
    bad = commit(checkout, "apps/shop/pay.py", f"key = '{PLANTED['github']}'\n")
    commit(checkout, "apps/shop/pay.py", "key = None\n")
    found = look(checkout / "apps/shop")
    assert [(f["file"], f["commit"]) for f in found] == [("pay.py", bad)]


def test_a_shallow_clone_and_a_worktree(look: Any, checkout: Path, tmp_path: Path) -> None:
    git(checkout, "init", "-q")
    bad = commit(checkout, "pay.py", f"key = '{PLANTED['stripe']}'\n")
    commit(checkout, "pay.py", "key = None\n")
    git(tmp_path, "clone", "-q", "--depth", "1", checkout.as_uri(), "shallow")
    assert "shallow" in look(tmp_path / "shallow", counted=True).note
    git(checkout, "worktree", "add", "-q", str(tmp_path / "beside"), "-b", "beside")
    assert [f["commit"] for f in look(tmp_path / "beside")] == [bad]


def test_a_history_that_takes_too_long_is_searched_on_by_the_next(look: Any, checkout: Path) -> None:
    git(checkout, "init", "-q")
    commit(checkout, "pay.py", f"key = '{PLANTED['stripe']}'\n")
    commit(checkout, "pay.py", "key = None\n")
    assert "not all of the git history was searched" in look(counted=True, budget=0).note
    assert len(look()) == 1


def test_no_repository_a_damaged_one_and_an_empty_one(look: Any, checkout: Path) -> None:
    assert look(counted=True).note == ""
    git(checkout, "init", "-q")
    assert not look()
    commit(checkout, "a.py", "a = 1\n")
    for pack in (checkout / ".git/objects").glob("??/*"):
        pack.chmod(0o600)
        pack.write_bytes(b"damaged")
    assert "not all of the git history was searched" in look(counted=True).note


def test_bundles_of_one_line(look: Any, tmp_path: Path) -> None:
    root = tmp_path / "artifact"
    for name in (".next/static/chunks/app.js", ".next/server/app/page.js", ".next/server/app/page.html"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f'{SCRIPT};k="{PLANTED["stripe"]}";{SCRIPT}')
    places = (str(root / ".next/static"), str(root / ".next/server/app"))
    found = look(sources=(), bundles=(Bundle("web", str(root), places),))
    assert sorted((f["file"], f["line"], f["column"]) for f in found) == [
        (".next/server/app/page.html", 1, len(SCRIPT) + 5),
        (".next/static/chunks/app.js", 1, len(SCRIPT) + 5),
    ]
    assert all(f["service"] == "web" and f["place"] == "bundle" for f in found)


def test_a_log_is_masked_where_it_holds_a_token(look: Any, tmp_path: Path) -> None:
    log = tmp_path / "web.log.part"
    log.write_text(f"one\nkey {PLANTED['stripe']}\n{PLANTED['private key']}\nlast\n")
    found = look(sources=(), logs={"web": str(log)})
    kept = str(tmp_path / "web.log")
    assert sorted((f["file"], f["line"]) for f in found) == [(kept, 2), (kept, 3)]
    text = log.read_text()
    assert PLANTED["stripe"] not in text
    assert "MI" not in text
    assert text.splitlines()[-1] == "last"
    assert len(text.splitlines()) == 3 + PLANTED["private key"].count("\n") + 1


def test_findings_pass_the_pipe_whole() -> None:
    finding = Finding("log", "/a", 1, 2, VALUE, "f", name="A")
    assert judge([Finding(**json.loads(json.dumps(finding.__dict__)))], ()).stops == (finding,)
