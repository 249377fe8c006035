"""A checkpoint behind a digest of it: those who read one do not notice by themselves what was damaged on its way."""

from __future__ import annotations

import hashlib

from hpo.errors import CheckpointError

DIGEST_BYTES = 32  # SHA-256


def sealed(content: bytes) -> bytes:
    """The digest, then the content."""
    return hashlib.sha256(content).digest() + content


def opened(kept: bytes) -> bytes:
    """The content again.

    Raises:
        CheckpointError: it is not what was sealed.
    """
    digest, content = kept[:DIGEST_BYTES], kept[DIGEST_BYTES:]
    if hashlib.sha256(content).digest() != digest:
        raise CheckpointError("the checkpoint is damaged")
    return content
