from __future__ import annotations

import hashlib
import json
import random

import pytest

from golive.blueprint.env import injected_names
from golive.blueprint.models import Blueprint
from golive.blueprint.shards import ShardMap, document, owners, slots_of, written
from golive.release.shards import moved, plan

THREE = ShardMap(key="user_id", slots=12, map={"a": "0-5", "b": "6-11", "c": ""})


def with_map(map: dict[str, str], slots: int = 12) -> Blueprint:
    return Blueprint.model_validate(
        {
            "name": "shop",
            "services": {"web": {"kind": "worker", "command": "true"}},
            "resources": {name: {"engine": "postgres"} for name in map},
            "shards": {"users": {"key": "user_id", "slots": slots, "map": map}},
        }
    )


@pytest.mark.parametrize("text", ["0-127", "0", "0-3, 8, 10-12", ""])
def test_slots_are_read_and_written_alike(text: str) -> None:
    found = slots_of(text)
    assert found is not None
    assert written([slot for each in found for slot in each]) == text


@pytest.mark.parametrize("text", ["5-3", "a", "-1", "1-", "1;2"])
def test_what_is_no_list_of_slots(text: str) -> None:
    assert slots_of(text) is None


def test_the_app_is_told_where_each_slot_is_and_no_secret() -> None:
    urls = {"a": "DATABASE_URL", "b": "B_URL", "c": "C_URL"}
    told = json.loads(document(THREE, urls))
    assert told["slots"] == 12
    assert told["shards"] == [{"from": 0, "to": 5, "url": "DATABASE_URL"}, {"from": 6, "to": 11, "url": "B_URL"}]
    # The helper of the guide: the same slot in every language.
    slot = int.from_bytes(hashlib.sha256(b"42").digest()[:8], "big") % told["slots"]
    assert slot == 9
    assert "SHARDS_USERS" in injected_names(with_map({"a": "0-11"}))


def test_a_plan_makes_them_even_and_moves_no_slot_twice() -> None:
    steps, after = plan(THREE, {"a": 600, "b": 600, "c": 0})
    assert [(s.slots, s.source, s.target) for s in steps] == [("10-11", "b", "c"), ("4-5", "a", "c")]
    assert sum(s.bytes for s in steps) == 400
    assert after == {"a": "0-3", "b": "6-9", "c": "4-5, 10-11"}


def test_what_is_even_stays() -> None:
    assert plan(THREE.model_copy(update={"map": {"a": "0-5", "b": "6-11"}}), {"a": 500, "b": 520})[0] == []
    assert plan(THREE, {"a": 0, "b": 0, "c": 0})[0] == []


@pytest.mark.parametrize("seed", range(20))
def test_a_plan_never_makes_it_worse(seed: int) -> None:
    dice = random.Random(seed)
    names = ["a", "b", "c", "d"][: dice.randint(2, 4)]
    slots: dict[str, list[int]] = {name: [] for name in names}
    for slot in range(64):
        slots[dice.choice(names)].append(slot)
    shards = ShardMap(key="k", slots=64, map={name: written(own) for name, own in slots.items()})
    sizes = {name: dice.randint(0, 10**9) if own else 0 for name, own in slots.items()}
    steps, after = plan(shards, sizes)
    fuller = {name: sizes[name] for name in names}
    for step in steps:
        fuller[step.source] -= step.bytes
        fuller[step.target] += step.bytes
    assert max(fuller.values()) - min(fuller.values()) <= max(sizes.values()) - min(sizes.values()) + len(steps)
    assert all(len(each) == 1 for each in owners(shards.model_copy(update={"map": after})).values())


def test_slots_that_went_elsewhere_are_said() -> None:
    before, now = with_map({"a": "0-5", "b": "6-11"}), with_map({"a": "0-3", "b": "4-11"})
    assert moved(before, now) == ["shards users: slots 4-5 go from a to b; their rows have to be there already"]
    assert moved(None, now) == moved(now, now) == []
    assert "nearly every row" in moved(before, with_map({"a": "0-5", "b": "6-23"}, 24))[0]
