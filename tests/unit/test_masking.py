"""URLs as messages show them: no secret, whatever the URL is of and however it is written."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.engine import make_url

from hpo.words.masking import looks_misread, masked, masked_text

URLS = [
    ("/mnt/shared/checkpoints", "/mnt/shared/checkpoints"),
    ("runs/lr=0.1/12:30@work", "runs/lr=0.1/12:30@work"),
    ("sqlite:////data/a:b@c/hpo.db", "sqlite:////data/a:b@c/hpo.db"),
    ("postgresql://me@db.example.org/x", "postgresql://me@db.example.org/x"),
    ("postgresql://me:s3cret@db.example.org:5433/x", "postgresql://me:***@db.example.org:5433/x"),
    ("postgresql://me:s3cret@[::1]:5433/x?password=s3cret", "postgresql://me:***@[::1]:5433/x?password=***"),
    ("postgresql://me:s3cret@h1:5432,h2:5432/x", "postgresql://me:***@h1:5432,h2:5432/x"),
    (
        "postgresql://me@h/x?sslpassword=s3cret&sslmode=require&sslkey=/etc/me.key",
        "postgresql://me@h/x?sslpassword=***&sslmode=require&sslkey=/etc/me.key",
    ),
    ("ftp://bob:s3cret@host/folder", "ftp://bob:***@host/folder"),
    ("s3://AKIA:s3cret@bucket/folder", "s3://AKIA:***@bucket/folder"),
    ("s3://bucket/a@b", "s3://bucket/a@b"),
    ("postgresql://u:s3cret@h/x?application_name=me@home", "postgresql://u:***@h/x?application_name=me@home"),
    ("https://s3cret@host/x", "https://***@host/x"),
    ("https://s3cret:x-oauth-basic@host/x", "https://***@host/x"),
    ("https://host/x?X-Amz-Signature=s3cret&a=1", "https://host/x?X-Amz-Signature=***&a=1"),
    ("https://host/x?sig=s3cret&api_key=s3cret", "https://host/x?sig=***&api_key=***"),
    ("https://host/x?Credential=s3cret#access_token=s3cret", "https://host/x?Credential=***"),
    ("https://host/x?a=1#access_token=s3cret", "https://host/x?a=1#access_token=***"),
    ("https://host/x?pass%77ord=s3cret", "https://host/x?pass%77ord=***"),
    ("simplecache::ftp://bob:s3cret@host/x", "simplecache::ftp://bob:***@host/x"),
    ("zip://a.zip::ftp://bob:s3cret@host/x", "zip://a.zip::ftp://bob:***@host/x"),
]
MISREAD = [
    ("postgresql://u:s3@cret@127.0.0.1/x", "postgresql://***"),
    ("postgresql://u:s3/cret@127.0.0.1/x", "postgresql://***"),
    ("postgresql://u:s3?cret@127.0.0.1/x", "postgresql://***"),
    ("postgresql://u:s3@cr/et@127.0.0.1/x", "postgresql://***"),
    ("postgresql://u:s3@cr?et@127.0.0.1/x", "postgresql://***"),
    ("postgresql://u:s3cret", "postgresql://***"),
    ("bob:s3cret@host/x", "***"),
]


@pytest.mark.parametrize(("url", "shown"), URLS)
def test_as_shown(url: str, shown: str) -> None:
    """The secret is ***, the rest stays, and what is shown can be shown again."""
    assert shown == masked(url)
    assert shown == masked(shown)
    assert not looks_misread(url)


@pytest.mark.parametrize(("url", "shown"), MISREAD)
def test_what_may_be_misread(url: str, shown: str) -> None:
    """Nothing of it is shown: what looks like a host may be half of a password."""
    assert looks_misread(url)
    assert shown == masked(url)
    assert shown == masked(shown)


def test_a_url_of_sqlalchemy() -> None:
    """Its password and its query."""
    url = make_url("postgresql://me:s3cret@h/x?sslpassword=s3cret")
    assert "postgresql://me:***@h/x?sslpassword=***" == masked(url)


TEXTS = [
    ("can't open ftp://bob:s3cret@host/x: 530 s3cret", "can't open ftp://bob:***@host/x: 530 ***"),
    ("bucket 'bob:s3cret@host'", "bucket 'bob:***@host'"),
    ("see https://docs.example.org/a?b=1.", "see https://docs.example.org/a?b=1."),
    ("moved to (https://token@other/x)", "moved to (https://***@other/x)"),
]


@pytest.mark.parametrize(("said", "shown"), TEXTS)
def test_what_a_library_says(said: str, shown: str) -> None:
    """It repeats the URL, or a part of it, or names another."""
    assert shown == masked_text(said, "ftp://bob:s3cret@host/x")


def test_a_secret_in_either_form() -> None:
    """As it is written in the URL, and as it is meant."""
    assert "*** or ***" == masked_text("a b%c or a%20b%25c", "ftp://bob:a%20b%25c@host/x")


@given(st.text(min_size=1))
def test_no_part_of_a_raw_password(password: str) -> None:
    """However a password is written into a URL, nothing of it is shown."""
    url = f"postgresql://u:{password}ZQ@1.2.3.4/x"
    assert "ZQ" not in masked(url)
    assert "ZQ" not in masked(f"ftp://u:ZQ{password}@1.2.3.4/x")
    encoded = f"postgresql://u:{quote(password, safe='', errors='replace')}ZQ@1.2.3.4/x"
    assert "postgresql://u:***@1.2.3.4/x" == masked(encoded)
