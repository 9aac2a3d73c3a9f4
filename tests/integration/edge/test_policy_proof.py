"""The edges of `scripts/bench policies`: every policy on one edge, each at work beside the others."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path

import pytest


@pytest.mark.nightly  # each policy has tests of its own, which are faster
@pytest.mark.skipif(not shutil.which("redis-server"), reason="there is no redis-server here")
@pytest.mark.skipif(not shutil.which("nginx", path="/usr/bin:/usr/sbin"), reason="there is no nginx here")
def test_every_policy_that_is_measured_is_at_work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[3] / "scripts"))
    from benchmarks import policies, policy_edge, policy_proof

    with ExitStack() as stack:
        lab, jwks, tokens = policies.prepared(tmp_path, stack)
        bench = stack.enter_context(policy_edge.started(lab, jwks, tokens))
        policy_proof.prove_all(bench, lab.chain)
        assert len({case.name for case in bench.cases}) == len(bench.cases) > 25
