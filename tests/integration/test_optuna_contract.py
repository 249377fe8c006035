"""The contract that Optuna ships for its storages, held by ours on each kind of database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from optuna.storages import BaseStorage
from optuna.testing.pytest_storages import StorageTestCase

from hpo.storage import open_storage


class TestOurStorage(StorageTestCase):
    """Optuna's own tests."""

    @pytest.fixture
    def storage(self, storage_url: str) -> Iterator[BaseStorage]:
        opened = open_storage(storage_url)
        yield opened.optuna
        opened.close()

    @pytest.mark.skip("a storage is opened from its URL and never sent to another process")
    def test_pickle_storage(self, storage: BaseStorage) -> None: ...
