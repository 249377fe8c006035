"""What the integration tests share: a crew of workers that leaves nothing behind, and their storage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hpo.storage import Storage, open_storage
from tests.integration.gate import Gate
from tests.integration.helpers import Crew


@pytest.fixture
def storage(postgres_url: str) -> Iterator[Storage]:
    """An open Postgres storage without studies."""
    opened = open_storage(postgres_url)
    yield opened
    opened.close()


@pytest.fixture
def crew(postgres_url: str, tmp_path: Path) -> Iterator[Crew]:
    """Workers on it."""
    crew = Crew(postgres_url, tmp_path)
    yield crew
    crew.kill()


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gate:
    """What a trial waits at until the test has disturbed it."""
    monkeypatch.setenv("HPO_CUSTOM_TARGETS", Gate.__module__)
    return Gate(tmp_path / "open")
