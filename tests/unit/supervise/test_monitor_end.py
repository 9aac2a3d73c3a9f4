"""A monitor that is ended in the very moment in which its unit becomes ready."""

from __future__ import annotations

import asyncio
from pathlib import Path

from golive.supervise.monitor import Attention, Monitor
from golive.supervise.unit import Unit
from golive.system.processes import Spec


async def test_it_ends_when_it_is_cancelled_as_it_becomes_ready() -> None:
    monitor = Monitor(Unit("shop/db", Spec(("true",), {}, Path("/"))), lambda _ready, _detail: None, Attention())
    running = asyncio.create_task(monitor.run())
    while monitor.last is None and len(asyncio.all_tasks()) < 4:  # both of its loops wait
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    monitor.accept()
    running.cancel()
    done, _ = await asyncio.wait([running], timeout=2)
    assert done
