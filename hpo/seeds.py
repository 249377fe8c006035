"""Seeds derived from names: independent streams of random numbers without any shared state."""

from __future__ import annotations

import hashlib


def derive(*parts: int | str) -> int:
    """A seed in [0, 2**32) fixed by `parts` alone, for example derive(seed, "order", epoch)."""
    text = "/".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
