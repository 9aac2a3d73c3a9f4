"""`[release] require`: a release that fails a check of the checklist goes back, without a failed request."""

from __future__ import annotations

from e2e_apps import RELEASE, MakeApp
from e2e_load import Load

REQUIRED = RELEASE + 'require = ["tls-hsts", "headers-nosniff"]\n'


def test_a_release_that_fails_a_required_check_goes_back(make_app: MakeApp) -> None:
    app = make_app(release=REQUIRED)
    assert "2 of 2 checks passed, none failed" in app.up().ok().err
    file = app.folder / "golive.toml"
    good = file.read_text()
    app.change(version="2")
    file.write_text(good + '[edge]\nhsts = "0s"\n')
    with Load(app) as load:
        said = app.up().failed().err
        load.more()
    load.unharmed()
    assert "fails what it has to pass: tls-hsts: " in said
    assert "release 1 serves again" in said
    assert app.version() == "1"
    assert app.releases() == {1: "live", 2: "failed"}
    file.write_text(good)
    app.up().ok()
    assert app.version() == "2"
