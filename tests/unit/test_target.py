"""Code of a user's own: how it is named, and what is said when it can't be imported."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from hpo.errors import TargetError
from hpo.trainers import target
from hpo.trainers.target import Target, import_target


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("mynet.py:Net", "did you mean mynet:Net?"),
        ("nets/small/mynet.py:Net", "did you mean nets.small.mynet:Net?"),
        ("nets/mynet:Net", "did you mean nets.mynet:Net?"),
        ("mynet", "the function is missing: write mynet:FUNCTION"),
        ("mynet.py", "the function is missing: write mynet:FUNCTION"),
        ("/home/me/mynet.py:Net", "write, for example, my_package.models:build"),
        ("../mynet.py:Net", "write, for example, my_package.models:build"),
        ("my-net:build", "write, for example, my_package.models:build"),
        ("a:b:c", "write, for example, my_package.models:build"),
        ("", "write, for example, my_package.models:build"),
    ],
)
def test_what_was_meant(given: str, said: str) -> None:
    """A path in place of a module is recognized."""
    with pytest.raises(ValidationError, match="is not MODULE:FUNCTION") as raised:
        TypeAdapter(Target).validate_python(given)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import no_such_package", "No module named 'no_such_package'"),
        ("def build(:", "SyntaxError: "),
        ("\nbuild = 1 / 0", r"ZeroDivisionError: division by zero \(line 2 of .*broken_net.py\)"),
        ("", "module 'broken_net' has no attribute 'build'"),
    ],
)
def test_a_module_that_can_not_be_imported(
    code: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it raises is the target's error, not a trial's: another machine may have another version of it."""
    (tmp_path / "broken_net.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("HPO_CUSTOM_TARGETS", "broken_net")
    monkeypatch.setattr(target, "_imported", {})
    monkeypatch.delitem(sys.modules, "broken_net", raising=False)
    with pytest.raises(TargetError, match=f"the model's target broken_net:build can't be imported: {said}"):
        import_target("broken_net:build", "model")


@pytest.mark.parametrize("name", ["run", "system", "Popen"])
def test_what_a_module_has_imported_is_not_its_own(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A study file can't start a program because a trusted module is able to."""
    (tmp_path / "trusted_net.py").write_text(
        "from os import system\nfrom subprocess import Popen, run\ndef build():\n    return 7\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("HPO_CUSTOM_TARGETS", "trusted_net")
    monkeypatch.setattr(target, "_imported", {})
    monkeypatch.delitem(sys.modules, "trusted_net", raising=False)
    assert 7 == import_target("trusted_net:build", "model")()
    with pytest.raises(TargetError, match=f"trusted_net:{name} is defined in .*: this worker may not import") as raised:
        import_target(f"trusted_net:{name}", "data set")
    assert "HPO_CUSTOM_TARGETS=trusted_net," in raised.value.hint
