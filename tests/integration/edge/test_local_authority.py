"""The local authority whose signing is a process of its own, as the daemon has it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from cryptography import x509

from golive.edge import ca
from golive.edge.ca import LocalCA
from golive.errors import StateError


def test_a_process_signs_and_what_it_signed_is_kept(tmp_path: Path) -> None:
    apart = LocalCA(tmp_path / "ca", apart=True)
    root = apart.ensure()
    made = apart.certificate_for(("tea.localhost", "*.tea.localhost"))
    leaf, above = x509.load_pem_x509_certificates(made.chain.encode())
    leaf.verify_directly_issued_by(above)
    assert above == x509.load_pem_x509_certificate(root.read_bytes())
    assert LocalCA(tmp_path / "ca").certificate_for(made.names) == made
    assert oct((tmp_path / "ca/leaves/tea.localhost.pem").stat().st_mode & 0o777) == "0o600"


def test_why_nothing_was_signed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ca").write_text("no folder")
    with pytest.raises(StateError) as caught:
        LocalCA(tmp_path / "ca", apart=True).certificate_for(("tea.localhost",))
    assert "cannot write" in caught.value.what
    assert str(tmp_path / "ca") in (caught.value.why or "")

    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(StateError, match="could not sign") as caught:
        LocalCA(tmp_path / "other", apart=True).certificate_for(("tea.localhost",))
    assert caught.value.why == "exit code 1"

    stuck = tmp_path / "stuck"
    stuck.write_text("#!/bin/sh\nexec sleep 600\n")
    stuck.chmod(0o755)
    monkeypatch.setattr(sys, "executable", os.fspath(stuck))
    monkeypatch.setattr(ca, "PATIENCE", 0.2)
    with pytest.raises(StateError, match="signed nothing"):
        LocalCA(tmp_path / "other", apart=True).certificate_for(("tea.localhost",))
