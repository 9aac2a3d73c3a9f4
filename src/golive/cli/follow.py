"""Showing a deployment while it happens, and its result."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from golive.cli import output
from golive.errors import GoliveError, from_json
from golive.units import human_duration, human_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from golive.daemon.client import Client

SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
TAIL = 20


class Narrator:
    """Prints steps as they end; on a terminal one line below shows what goes on now."""

    def __init__(self, title: str) -> None:
        self._live = sys.stderr.isatty() and output.unicode_ok()
        self._now = ""
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._logs: deque[str] = deque(maxlen=TAIL)
        output.say(output.paint(title, "bold"))
        if self._live:
            threading.Thread(target=self._spin, daemon=True).start()

    def event(self, event: dict[str, Any]) -> None:
        handler = getattr(self, f"_on_{event['type']}", None)
        if handler:
            handler(event)

    def _on_step(self, event: dict[str, Any]) -> None:
        if event["state"] == "running":
            self._now, self._began = event["name"], time.monotonic()
            return
        self._now = ""
        if event["state"] == "skipped" and not event.get("detail"):
            return
        sign = output.mark(event["state"])
        took = human_duration(event["seconds"]) if event.get("seconds") is not None else ""
        style = output.STYLES.get(output.MARKS.get(event["state"], ""), "dim")
        detail = event.get("detail") or ""
        self._line(
            f"  {output.paint(sign, style)} {event['name']:<11} {detail:<58} {output.paint(took.rjust(8), 'dim')}"
        )

    def _on_note(self, event: dict[str, Any]) -> None:
        self._line(f"    {output.paint(event['text'], 'dim')}")

    def _on_log(self, event: dict[str, Any]) -> None:
        self._logs.append(event["line"])
        if not self._live:
            return
        self._now = f"{event['source']}: {event['line'].strip()[:90]}"

    def _on_progress(self, event: dict[str, Any]) -> None:
        total = f" of {human_size(event['total'])}" if event.get("total") else ""
        self._now = f"fetching {event['what']}: {human_size(event['done'])}{total}"

    def _line(self, text: str) -> None:
        with self._lock:
            if self._live:
                sys.stderr.write("\r\x1b[K")
            output.say(text.rstrip())

    def _spin(self) -> None:
        turn = 0
        while not self._stop.wait(0.1):
            turn += 1
            if self._now:
                seconds = human_duration(time.monotonic() - self._began)
                with self._lock:
                    sys.stderr.write(f"\r\x1b[K  {SPINNER[turn % 10]} {self._now}  {output.paint(seconds, 'dim')}")
                    sys.stderr.flush()

    def close(self) -> None:
        self._stop.set()
        if self._live:
            with self._lock:
                sys.stderr.write("\r\x1b[K")
                sys.stderr.flush()


def follow(daemon: Client, deployment: int, title: str, *, as_json: bool) -> int:
    """Until it has ended; the exit code. Ctrl-C asks the daemon to undo it, a second one leaves it to the daemon."""
    narrator = Narrator(title)
    end: dict[str, Any] = {}
    try:
        for event in _events(daemon, deployment):
            if event["type"] == "end":
                end = event
            else:
                narrator.event(event)
    except KeyboardInterrupt:
        narrator.close()
        return _interrupted(daemon, deployment)
    finally:
        narrator.close()
    return _tell(daemon, deployment, end, as_json)


def _events(daemon: Client, deployment: int) -> Iterator[dict[str, Any]]:
    """All events, through a restart of the daemon: its successor tells how the deployment was settled."""
    from golive.daemon.client import Unreachable, connect

    for attempt in range(30):
        try:
            for event in daemon.stream("GET", f"/v1/deployments/{deployment}/events"):
                yield event
                if event["type"] == "end":
                    return
        except Unreachable:
            output.say("    the daemon went away; starting it again")
        time.sleep(0.1 * attempt)
        with contextlib.suppress(Unreachable):
            connect(daemon.home)


def _interrupted(daemon: Client, deployment: int) -> int:
    output.say("stopping and undoing it (Ctrl-C again leaves that to the daemon)")
    if daemon.send("POST", f"/v1/deployments/{deployment}/cancel")["cancelled"]:
        output.say("undone: what was live before is live")
    else:
        output.say("traffic has moved already; golive rollback goes back")
    return 130


def _tell(daemon: Client, deployment: int, end: dict[str, Any], as_json: bool) -> int:
    if not end:
        raise GoliveError(f"how deployment {deployment} ended is not known", hint="golive status")
    row = daemon.get(f"/v1/deployments/{deployment}")
    error = from_json(end["error"]) if end.get("error") else None
    if as_json:
        output.data(row)
    elif end["state"] == "done":
        _show_result(daemon, end["result"] or {}, row)
    if error is not None:
        if not as_json:
            output.show_error(error)
        return 0 if end["state"] == "done" and as_json else error.exit_code
    return 0 if end["state"] == "done" else 1


def _show_result(daemon: Client, result: dict[str, Any], row: dict[str, Any]) -> None:
    if result.get("nothing_to_do"):
        output.say(f"nothing to do: release {result['release']} is live and unchanged")
    else:
        _show_checks(result)
        took = (row["ended_at"] or 0) - (row["started_at"] or 0)
        output.say(f"\nrelease {result.get('release')} is live after {human_duration(took)}")
        info = daemon.get("/v1/daemon")
        if (info.get("trust") or {}).get("command") and (result.get("url") or "").startswith("https://"):
            output.say(output.paint("once, so that browsers trust it: golive trust", "dim"))
    if result.get("url"):
        print(result["url"], flush=True)


def _show_checks(result: dict[str, Any]) -> None:
    checks = result.get("checks") or []
    if checks:
        output.say("\nchecks")
    for check in checks:
        sign = output.mark("done" if check["ok"] else "failed")
        style = "green" if check["ok"] else "bold red"
        output.say(f"  {output.paint(sign, style)} {check['name']:<24} {check['evidence']}")
    probes = result.get("probes") or {}
    if probes.get("requests"):
        ok = not probes["failed"]
        text = f"{probes['requests']} requests through the edge during the switch, {probes['failed']} failed"
        sign = output.paint(output.mark("done" if ok else "failed"), "green" if ok else "bold red")
        output.say(f"  {sign} {'zero failed requests' if ok else 'failed requests':<24} {text}")
