"""URLs as they may be shown: `***` in place of every secret, whatever the URL is of.

A secret is a password before the host, and what a query calls a password, key, token, signature or the like. A URL that
is likely to be misread, so that a part of its password would be taken for a host or a path, is not shown at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote, unquote_plus

HIDDEN = "***"
ENCODED = "in a user or a password write @ as %40, : as %3A, / as %2F, ? as %3F"
"""What to do about a URL that may be misread."""

_SECRET_NAME = re.compile("pass|pwd|secret|token|key|sig|credential|auth", re.IGNORECASE)
_FILE_NAMES = ("passfile", "sslkey")
"""Parameters that name a file with a secret in it."""
_HOST = r"(\[[^\[\]]*\]|[^:,\[\]]*)(:\d*)?"
_HOSTS = re.compile(rf"{_HOST}(,{_HOST})*")
_CHAIN = re.compile(r"::(?=[A-Za-z][\w+.-]*(?:://|::|$))")
"""What stands between the URLs of a chain, as fsspec writes them: simplecache::s3://bucket/folder."""
_URL_IN_TEXT = re.compile(r"[A-Za-z][\w+.-]*://[^\s'\"<>]*[^\s'\"<>.,;:)]")
_LOGIN = re.compile("[^/.@:][^/@:]*:[^@]*@")
"""How a URL begins whose scheme was forgotten."""


def masked(url: object) -> str:
    """The URL (text, or SQLAlchemy's) as it may be shown; a path is shown as it is."""
    return "::".join(_masked_link(link) for link in _CHAIN.split(str(url)))


def masked_text(text: str, *urls: str) -> str:
    """What a library said, without the secrets of the `urls` that it was given, in whatever form it repeats them."""
    for url in urls:
        text = text.replace(url, masked(url))
        for secret in sorted(_secrets(url), key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
    return _URL_IN_TEXT.sub(lambda found: masked(found[0]), text)


def looks_misread(url: str) -> bool:
    """Whether a secret may stand where a library looks for something else, and say so."""
    return any(_misread(link) for link in _CHAIN.split(url))


def split_authority(rest: str) -> tuple[str, str]:
    """What stands between `://` and the path or query of a URL, and what follows it."""
    end = re.search("[/?]", rest)
    return (rest[: end.start()], rest[end.start() :]) if end else (rest, "")


def _misread(link: str) -> bool:
    _, mark, rest = link.partition("://")
    if not mark:
        return _LOGIN.match(link) is not None
    authority, after = split_authority(rest)
    path, _, query = after.partition("?")
    # Behind a / or ? in a password the rest of it would be taken for a path or a query.
    cut_short = ":" in authority and ("@" in path or ("@" in query and "@" not in authority))
    no_parameter = any("@" in item and "=" not in item for item in query.split("&"))
    no_host = _HOSTS.fullmatch(authority.rpartition("@")[2]) is None
    return authority.count("@") > 1 or cut_short or no_parameter or no_host


def _masked_link(link: str) -> str:
    scheme, mark, rest = link.partition("://")
    if _misread(link):
        return f"{scheme}://{HIDDEN}" if mark else HIDDEN
    if not mark:
        return link
    authority, after = split_authority(rest)
    path, query_mark, query = after.partition("?")
    items = "&".join(_masked_item(item) for item in query.split("&"))
    return f"{scheme}://{_masked_authority(scheme, authority)}{path}{query_mark}{items}"


def _masked_authority(scheme: str, authority: str) -> str:
    user_and_password, at, host = authority.rpartition("@")
    user, colon, _ = user_and_password.partition(":")
    if _holds_token(scheme):
        return f"{HIDDEN}{at}{host}" if at else host
    return f"{user}:{HIDDEN}{at}{host}" if colon else f"{user}{at}{host}"


def _holds_token(scheme: str) -> bool:
    """Whether people write a token where the user's name belongs."""
    return scheme.lower() in ("http", "https")


def _masked_item(item: str) -> str:
    name, equals, value = item.partition("=")
    if equals and _is_secret(name):
        return f"{name}={HIDDEN}"
    value, mark, fragment = value.partition("#")
    return f"{name}{equals}{value}{mark}{_masked_item(fragment)}" if mark else item


def _is_secret(name: str) -> bool:
    name = unquote(name)
    return name not in _FILE_NAMES and _SECRET_NAME.search(name) is not None


def _secrets(url: str) -> Iterator[str]:
    """The secrets of a URL, as they are written and as they are meant."""
    for link in _CHAIN.split(url):
        scheme, _, rest = link.partition("://")
        authority, after = split_authority(rest)
        user, _, password = authority.rpartition("@")[0].partition(":")
        yield from {password, unquote(password)} - {""}
        if _holds_token(scheme):
            yield from {user, unquote(user)} - {""}
        for item in after.partition("?")[2].split("&"):
            name, _, value = item.partition("=")
            if _is_secret(name):
                yield from {value, unquote(value), unquote_plus(value)} - {""}
