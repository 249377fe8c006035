"""Workers on hosts of their own, over a slow and lossy line, and one of them cut off for longer than its lease."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.faults.network import Network, NoNamespacesError
from tests.machine import lacking, require
from tests.postgres import NoPostgresError, find_binaries


@pytest.mark.slow
def test_a_host_that_is_cut_off_and_comes_back() -> None:
    """20 ms a round trip, 1 % of the packets lost: every trial is done once, with the curve of undisturbed training."""
    require("ip", "nft", packages="iproute2 nftables")
    try:
        find_binaries()
        Network(1).remove()
    except NoPostgresError as error:
        lacking(str(error))
    except NoNamespacesError as error:
        pytest.skip(str(error))
    command = [sys.executable, "-m", "tests.faults.hosts", "--cells=6", "--delay=20", "--loss=1", "--cut"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    expected = {"cells": 6, "lost": 0, "doubled": 0, "curves_differing": 0, "tracebacks": 0}
    assert expected == {name: result[name] for name in expected}, done.stderr
    assert result["continued"] >= 1
