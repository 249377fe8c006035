"""URLs for checkpoints: a library repeats one that it can't use, and no message shows its secret."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hpo.errors import UserError
from hpo.storage import open_storage
from hpo.storage.checkpoints import UrlCheckpoints
from hpo.storage.parts import Parts

URLS = [
    ("ftp://bob:hunter2@127.0.0.1:1/x", "ftp://bob:***@127.0.0.1:1/x"),
    ("s3://bob:hunter2@bucket/x", "s3://bob:***@bucket/x"),
    ("nosuch://bob:hunter2@host/x?sig=hunter2", "nosuch://bob:***@host/x?sig=***"),
    ("ftp://bob:hun@ter2@127.0.0.1:1/x", "ftp://***"),
    ("bob:hunter2@host/x", "***"),
    # Names of files would hold it, and the database with them.
    ("http://bob:hunter2@127.0.0.1:1/x", "http://***@127.0.0.1:1/x"),
    ("http://127.0.0.1:1/x?token=hunter2", "http://127.0.0.1:1/x?token=***"),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("url", "shown"), URLS)
def test_a_url_with_a_secret(
    url: str, shown: str, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message shows it masked, and nothing is made of it in the working directory."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    storage = open_storage(sqlite_url)
    with pytest.raises(UserError) as error:
        UrlCheckpoints(url, Parts(storage.database), "database")
    storage.close()
    said = f"{error.value} {error.value.hint}"
    assert f"--checkpoints {shown!r}: " in said
    assert not {"hunter2", "hun", "ter2"} & set(re.split(r"\W", said))
    assert [] == list(Path.cwd().iterdir())
