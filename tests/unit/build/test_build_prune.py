"""What is pruned, over many random stores."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from golive.build.seal import count
from golive.build.store import Item, to_remove


def random_store(seed: int) -> tuple[list[Item], set[str], int]:
    dice = random.Random(seed)
    layers = [Item(f"l{n}", "layer", dice.randint(0, 50), dice.randint(0, 9)) for n in range(dice.randint(0, 5))]
    needs = [None, "gone", *(layer.key for layer in layers)]
    artifacts = [
        Item(f"a{n}", "artifact", dice.randint(0, 20), dice.randint(0, 9), dice.choice(needs))
        for n in range(dice.randint(0, 9))
    ]
    items = [*layers, *artifacts]
    dice.shuffle(items)
    keep = {item.key for item in artifacts if dice.random() < 0.3} | {"unknown"}
    return items, keep, dice.randint(0, 150)


@pytest.mark.parametrize("seed", range(500))
def test_prune_rules(seed: int) -> None:
    items, keep, budget = random_store(seed)
    gone = to_remove(items, keep, budget)
    left = [item for item in items if item not in gone]
    kept_layers = {item.needs for item in items if item.kind == "artifact" and item.key in keep}
    protected = {item.key for item in items if item.key in keep or (item.kind == "layer" and item.key in kept_layers)}

    assert not protected & {item.key for item in gone}
    spare = [item for item in left if item.key not in protected]
    assert sum(item.size for item in spare) <= budget
    here = {item.key for item in items}
    assert all(item.needs in {x.key for x in left} for item in left if item.kind == "artifact" and item.needs in here)
    if gone:  # without the last one, it was still over the budget
        assert sum(item.size for item in spare) + gone[-1].size > budget
    artifacts_gone = [item.used for item in gone if item.kind == "artifact"]
    assert artifacts_gone == sorted(artifacts_gone)
    oldest_left = min((item.used for item in spare if item.kind == "artifact"), default=10)
    assert all(used <= oldest_left for used in artifacts_gone)


def test_nothing_goes_within_the_budget() -> None:
    items = [Item("a", "artifact", 10, 1, "l"), Item("l", "layer", 90, 1)]
    assert to_remove(items, (), 100) == ()
    assert [item.key for item in to_remove(items, (), 99)] == ["a"]
    assert [item.key for item in to_remove(items, (), 0)] == ["a", "l"]
    assert to_remove(items, {"a"}, 0) == ()


def test_a_cache_that_is_in_use_is_counted(tmp_path: Path) -> None:
    (tmp_path / "kept").write_bytes(b"x")
    use = "import os\nwhile True:\n os.makedirs('part/deep'); os.removedirs('part/deep')\n"
    with subprocess.Popen([sys.executable, "-I", "-c", use], cwd=tmp_path) as user:
        try:
            assert {count(tmp_path).files for _ in range(2000)} == {1}
        finally:
            user.kill()
