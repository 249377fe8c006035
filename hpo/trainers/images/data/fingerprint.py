"""The identity of a data set: by it a node with other images is recognized."""

from __future__ import annotations

import hashlib

from hpo.trainers.images.data.images import Images


def fingerprint(train: Images, test: Images) -> str:
    """SHA-256 over shapes, pixels and labels of both parts, in hexadecimal."""
    digest = hashlib.sha256()
    for images in (train, test):
        digest.update(repr(tuple(images.inputs.shape)).encode())
        digest.update(images.inputs.contiguous().numpy().data)
        digest.update(images.labels.numpy().astype("<i8").data)
    return digest.hexdigest()
