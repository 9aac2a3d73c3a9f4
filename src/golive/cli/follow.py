"""Showing a deployment while it happens, and its result."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from golive.cli import output
from golive.errors import ChecksFailed, GoliveError, HookFailed, from_json
from golive.units import human_duration, human_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from golive.daemon.client import Client

SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
PLAIN_SPINNER = "|/-\\"
NAME, TIME, WIDEST = 10, 8, 100
"""Columns of a step's name, of its time, and of a whole line on a wide terminal."""
PATIENCE = 10.0
"""Seconds after which a step that goes on is mentioned where no line can be written over."""
QUIET = 3.0
"""Seconds without a word after which the line says what runs, and not what was said last."""
CANARY = "canary"
SUMMED_UP = ("ready", "shift")
"""Steps whose detail is their own time, or said again by the last line."""
TOLD = ("environment", "migrations")
"""Checks that a step's line has said; shown when they fail."""
UNPROVEN = (HookFailed, ChecksFailed)
"""Errors that fail the command although the release is live."""


class Narrator:
    """Prints steps as they end. On a terminal one line below shows what goes on now; elsewhere a line now and then."""

    def __init__(self, title: str) -> None:
        self._live = output.lively()
        self._spinner = SPINNER if output.unicode_ok() else PLAIN_SPINNER
        self._step, self._now, self._runs = "", "", ""
        self.canary = False
        """Whether a canary is under way, which goes on without us."""
        self._heard = time.monotonic()
        self._began = self._said = time.monotonic()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._shown: Counter[tuple[str, str]] = Counter()
        self._again: Counter[tuple[str, str]] = Counter()
        output.say(output.paint(title, "bold"))
        threading.Thread(target=self._tick, daemon=True).start()

    def event(self, event: dict[str, Any]) -> None:
        handler = getattr(self, f"_on_{event['type']}", None)
        if handler:
            handler(event)

    def from_the_beginning(self) -> None:
        """Events come once more, from a daemon that has started anew: what was shown is passed over."""
        self._again = self._shown.copy()

    def _on_step(self, event: dict[str, Any]) -> None:
        name, state = event["name"], event["state"]
        self.canary = name == CANARY
        if state == "running":
            self._step, self._now, self._runs = name, "", ""
            self._began = self._said = self._heard = time.monotonic()
            return
        self._step = ""
        if self._again[name, state]:
            self._again[name, state] -= 1
            return
        self._shown[name, state] += 1
        if state != "skipped" or event.get("detail"):
            self._line(step_line(event, output.width()))

    def _on_note(self, event: dict[str, Any]) -> None:
        self._line(output.wrap(event["text"], "    ", "    "), "dim")

    def _on_log(self, event: dict[str, Any]) -> None:
        source, line = event["source"], event["line"].strip()
        self._now, self._heard = f"{source}: {line}", time.monotonic()
        if line.startswith("$ "):  # so a build says what it begins
            self._runs = f"{source}: {line[2:].partition('  # ')[0]}"
        elif not self._runs.startswith(f"{source}: "):
            self._runs = ""

    def _on_progress(self, event: dict[str, Any]) -> None:
        total = event.get("total")
        size = f"{human_size(event['done'])} of {human_size(total)}" if total else human_size(event["done"])
        new = f"fetching {event['what']}" not in self._now
        done = bool(total) and event["done"] >= total
        self._heard, self._runs = time.monotonic(), ""
        self._now = f"fetched {event['what']}" if done else f"fetching {event['what']}: {size}"
        if new and not self._live:
            self._line(f"    fetching {event['what']}" + (f", {human_size(total)}" if total else ""))

    def _line(self, text: str, style: str = "") -> None:
        with self._lock:
            self._wipe()
            output.say(output.paint(text, style) if style else text)

    def _wipe(self) -> None:
        if self._live:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def _tick(self) -> None:
        turn = 0
        while not self._stop.wait(0.1):
            turn += 1
            if self._live:
                self._draw(turn)
            elif self._step and time.monotonic() - self._said >= PATIENCE:
                self._said = time.monotonic()
                line = now_line(self._step, self._what(), self._said - self._began, None)
                self._line(f"  {output.mark('running')} {line}")

    def _draw(self, turn: int) -> None:
        """What goes on now, over the last line."""
        with self._lock:
            if self._step:
                line = now_line(self._step, self._what(), time.monotonic() - self._began, output.width())
                sys.stderr.write(f"\r\x1b[K  {self._spinner[turn % len(self._spinner)]} {line}")
                sys.stderr.flush()

    def _what(self) -> str:
        return going_on(self._now, self._runs, time.monotonic() - self._heard)

    def close(self) -> None:
        self._stop.set()
        with self._lock:
            self._step = ""
            self._wipe()


def step_line(event: dict[str, Any], width: int | None) -> str:
    """A step that has ended: sign, name, what came of it, seconds. Why one failed is in the error below it."""
    told = event["state"] == "failed" or event["name"] in SUMMED_UP
    detail = "" if told else event.get("detail") or ""
    took = human_duration(event["seconds"]) if event.get("seconds") is not None else ""
    room = min(width or 80, WIDEST) - len("  ✓ ") - NAME - 2 - TIME - 2
    first, *rest = _broken(detail, room)
    line = f"  {output.signed(event['state'])} {event['name']:<{NAME}}  {first:<{room}}  "
    more = "".join(f"\n{'':<{NAME + 6}}{part}" for part in rest)
    return (line + output.paint(took.rjust(TIME), "dim") + more).rstrip()


def _broken(text: str, room: int) -> list[str]:
    import textwrap

    return textwrap.wrap(text, max(room, 20), break_on_hyphens=False) or [""]


def going_on(said: str, runs: str, quiet: float) -> str:
    """The last that was said; after some silence the program that runs, so that old news is not taken for new."""
    if quiet < QUIET or not said:
        return said
    return f"{runs or said} (silent for {human_duration(quiet)})"


def now_line(step: str, now: str, seconds: float, width: int | None) -> str:
    """The step that goes on, what goes on in it, and for how long."""
    took = human_duration(seconds) if seconds >= 1 else ""
    room = None if width is None else width - len("  ⠋ ") - NAME - 2 - TIME - 3
    text = output.cut(now, room)
    return f"{step:<{NAME}}  {output.paint(text, 'dim')}  {output.paint(took, 'dim')}".rstrip()


class Held:
    """Keeps Ctrl-C while a deployment is handed over, which nobody could call off then: until `let_go` raises it. A
    second one is not kept."""

    def __init__(self) -> None:
        self._seen = False

    def __enter__(self) -> Held:
        self._before = signal.signal(signal.SIGINT, self._keep)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _keep(self, *_: object) -> None:
        if self._seen:
            raise KeyboardInterrupt
        self._seen = True

    def let_go(self) -> None:
        signal.signal(signal.SIGINT, self._before)
        if self._seen:
            raise KeyboardInterrupt


def follow(
    daemon: Client, deployment: int, title: str, *, as_json: bool, begun: Callable[[], None] = lambda: None
) -> int:
    """Until it has ended; the exit code. Ctrl-C asks the daemon to undo it, a second one leaves it to the daemon; a
    canary goes on. `begun` is called once Ctrl-C does that."""
    narrator = Narrator(title)
    end: dict[str, Any] = {}
    try:
        begun()
        for event in _events(daemon, deployment, narrator):
            if event["type"] == "end":
                end = event
            else:
                narrator.event(event)
    except KeyboardInterrupt:
        narrator.close()
        return _left_alone() if narrator.canary else _interrupted(daemon, deployment)
    finally:
        narrator.close()
    return tell(daemon, deployment, end, as_json)


def _events(daemon: Client, deployment: int, narrator: Narrator) -> Iterator[dict[str, Any]]:
    """All events, through a restart of the daemon: its successor tells how the deployment was settled."""
    from golive.cli.passphrase import ask
    from golive.daemon.client import Unreachable, connect

    for attempt in range(30):
        try:
            for event in daemon.stream("GET", f"/v1/deployments/{deployment}/events"):
                yield event
                if event["type"] == "end":
                    return
        except Unreachable:
            pass
        if attempt == 0:
            narrator.event({"type": "note", "text": "the daemon went away; its successor tells how this ends"})
        time.sleep(0.1 * attempt)
        narrator.from_the_beginning()
        with contextlib.suppress(Unreachable):
            connect(daemon.home, ask=ask)


def _get(daemon: Client, path: str) -> Any:
    """Of a successor, when the daemon that told the end is gone by now."""
    from golive.cli.passphrase import ask
    from golive.daemon.client import Unreachable, connect

    try:
        return daemon.get(path)
    except Unreachable:
        connect(daemon.home, ask=ask)
        return daemon.get(path)


def _left_alone() -> int:
    output.say("the canary goes on; golive traffic shows how it does, golive rollback ends it")
    return 130


def _interrupted(daemon: Client, deployment: int) -> int:
    output.say("stopping it and undoing what it did (Ctrl-C again leaves that to the daemon)")
    try:
        cancelled = daemon.send("POST", f"/v1/deployments/{deployment}/cancel")["cancelled"]
    except KeyboardInterrupt:
        output.say("left to the daemon; golive status shows what is live")
        return 130
    if cancelled:
        previous = daemon.get(f"/v1/deployments/{deployment}")["previous"]
        output.say(f"undone: release {previous} goes on serving" if previous else "undone: nothing is live, as before")
    else:
        output.say("traffic has moved already; golive rollback goes back")
    return 130


def tell(daemon: Client, deployment: int, end: dict[str, Any], as_json: bool) -> int:
    """The result or the error; the exit code. What went wrong after the change was made does not unmake it."""
    if not end:
        raise GoliveError(f"how deployment {deployment} ended is not known", hint="golive status")
    row = _get(daemon, f"/v1/deployments/{deployment}")
    done = end["state"] == "done"
    error = from_json(end["error"]) if end.get("error") else None
    if as_json:
        output.data(row)
    elif done:
        _show_result(daemon, end["result"] or {}, row)
    if error is not None:
        output.say()
        note = "" if done else _still(row)
        output.show_error(error, word="warning" if done and not isinstance(error, UNPROVEN) else "error", note=note)
    if done and not isinstance(error, UNPROVEN):
        return 0
    return error.exit_code if error else 1


def _still(row: dict[str, Any]) -> str:
    """What a failed deployment leaves live."""
    if row["state"] == "undone":
        return ""
    return f"release {row['previous']} goes on serving" if row["previous"] else ""


def _show_result(daemon: Client, result: dict[str, Any], row: dict[str, Any]) -> None:
    url = result.get("url") or ""
    if result.get("nothing_to_do"):
        output.say(f"nothing to do: release {result['release']} is live and unchanged")
    else:
        _show_checks(result)
        took = (row["ended_at"] or 0) - (row["started_at"] or 0)
        release = result.get("release") or row.get("release")
        output.say(output.paint(f"\nrelease {release} is live, after {human_duration(took)}", "bold"))
    if url:
        print(url, flush=True)
    if not result.get("nothing_to_do") and row["kind"] == "deploy" and not row["previous"]:
        _show_next(daemon, url)


def _show_next(daemon: Client, url: str) -> None:
    """After the first deploy: what most people want then."""
    steps = [("golive status", "what runs, and its health"), ("golive logs -f", "what the services say")]
    info = _get(daemon, "/v1/daemon")
    if url.startswith("https://") and (info.get("trust") or {}).get("command"):
        steps = [("golive trust", "how browsers come to trust it, once"), *steps]
    output.say()
    for command, text in steps:
        output.say(f"  {command:<16}{output.paint(text, 'dim')}")


def _show_checks(result: dict[str, Any]) -> None:
    checks = [c for c in result.get("checks") or [] if not (c["ok"] and c["name"] in TOLD)]
    probes = result.get("probes") or {}
    if probes.get("failed"):  # none failed: the line of `verify` says so
        text = f"{probes['requests']} requests through the edge during the switch, {probes['failed']} failed"
        checks.append({"name": "failed requests", "ok": False, "evidence": text})
    if checks:
        output.say("\nchecks")
    widest = max([len(check["name"]) for check in checks], default=0)
    for check in checks:
        sign = output.signed("done" if check["ok"] else "failed")
        first = f"  {sign} {check['name']:<{widest}}  "
        output.say(output.wrap(check["evidence"], first, " " * (widest + 6)))
