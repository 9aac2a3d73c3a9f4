"""The report as a person opens it, in a browser: whole, from itself alone, with every line of the guides."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from faults_app import Deployment
from playwright.async_api import async_playwright

from golive.checks import catalog, guides, html
from golive.checks.guides import CHECKLISTS, LINES
from golive.checks.model import Status
from golive.checks.run import run


async def test_the_report_in_a_browser(tmp_path: Path) -> None:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("needs chromium: apt-get install chromium")
    deployment = Deployment(tmp_path)
    deployment.row("JWT_SECRET", origin="missing", value=None)
    results = await run(catalog.checks(app=True), None, deployment.app())
    file = tmp_path / "report.html"
    file.write_text(html.report("tea (production)", results, datetime.now(UTC)), encoding="utf-8")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = await browser.new_page(viewport={"width": 400, "height": 800})
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        await page.goto(file.as_uri())
        assert asked == [file.as_uri()]
        assert await page.locator("details[open]").count() == 1
        assert await page.locator("#environment-complete pre").first.is_visible()
        assert not await page.locator("#environment-declared pre").first.is_visible()
        await page.locator("#environment-declared summary").click()
        assert await page.locator("#environment-declared pre").first.is_visible()
        wide = await page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
        assert not wide, "it has to be pushed sideways on a phone"
        assert sum(CHECKLISTS[guide] for guide in ("akashic", "datifyy", "rt-apps")) == 48
        rows = page.locator("table tr")
        assert await rows.count() == len(LINES) + 1
        assert await page.get_by_text("nothing was asked: left out of this run").count() == 0
        await page.locator("summary", has_text=f"{len(LINES)} lines").click()
        for line in guides.answered(results):
            row = page.locator(f'[id="line-{line.id}"]')
            assert await row.is_visible()
            assert await row.get_attribute("data-status") == line.status.value.replace(" ", "-")
            assert await row.locator("p").count() == len(line.results) > 0
            proofs = sum(bool(result.outcome.evidence) for result in line.results)
            assert await row.locator("small").count() == proofs
        lines = {line.id: line.status for line in guides.answered(results)}
        assert lines["datifyy.3"] is Status.FAIL, "a variable is missing"
        assert lines["rt-apps.22"] is Status.NOT_APPLICABLE, "nothing of it sends mail"
        await browser.close()
