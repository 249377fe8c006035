"""Programs as trials: real processes, started, driven, stopped, killed and resumed by real workers."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hpo.cli import cli
from hpo.errors import SickMachine, StudyFileError, TargetError
from hpo.service import begin_study
from hpo.storage import Storage, create_storage
from hpo.storage.rows import Cell, StudyRow
from hpo.study import StudySpec
from hpo.study.file import parse
from tests.integration.helpers import Crew, wait_until, without_times, work_here
from tests.nvidia import DIVIDED, NvidiaSmi

SCRIPT = Path(__file__).with_name("train_program.py")
UNITS = 6


@pytest.fixture
def storage(sqlite_url: str) -> Iterator[Storage]:
    """An empty one."""
    opened = create_storage(sqlite_url)
    yield opened
    opened.close()


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the script, which workers may run."""
    copy = tmp_path / "train.py"
    shutil.copy(SCRIPT, copy)
    monkeypatch.setenv("HPO_PROGRAMS", f"{sys.executable} {copy}")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    return copy


def study_of(script: Path, mode: str = "", name: str = "own", **changes: Any) -> StudySpec:
    """One cell of it, unless `arms` says otherwise."""
    values = {
        "mode": mode,
        "folder": str(script.parent),
        "lr": {"kind": "cosine", "peak": 0.1, "per": "step"},
        "weight_decay": {"strength": 0.01, "policy": {"kind": "ramp", "direction": "up", "factor": 3.0}},
    }
    trial = {
        "program": f"{sys.executable} {script}",
        "length": {"rounds": UNITS},
        "metric": {"name": "loss", "goal": "minimize"},
        "metrics": [{"name": "accuracy", "goal": "maximize", "share": True}],
        "values": values | changes.pop("values", {}),
        **changes.pop("trial", {}),
    }
    arms = changes.pop("arms", {"only": {}})
    return parse({"name": name, "trial": trial, "protocol": changes, "arms": arms})


def run(storage: Storage, study: StudySpec, device: str = "cpu") -> tuple[StudyRow, list[Cell]]:
    """The study run to its end by a worker in this process."""
    row = begin_study(storage, study)
    work_here(storage, device)
    return row, storage.ledger.cells(row.id)


def curve(storage: Storage, cell: Cell) -> list[dict[str, float | None]]:
    """What a cell has reported, unit by unit."""
    return [without_times(point.metrics) for point in storage.ledger.curve(cell.id)]


def test_what_is_given_moved_and_reported(storage: Storage, script: Path) -> None:
    """Values as schedule and policy have them at the last step of each unit; all that is reported is kept."""
    _, [cell] = run(storage, study_of(script))
    assert ("done", "finished", UNITS) == (cell.state, cell.ended, cell.epochs)
    points = curve(storage, cell)
    moments = [(unit + 0.75) / UNITS for unit in range(UNITS)]
    assert [pytest.approx(0.05 * (1 + math.cos(math.pi * at))) for at in moments] == [p["lr"] for p in points]
    decays = [pytest.approx(0.01 * 3**at) for at in moments]
    assert decays == [p["strength.weight_decay"] for p in points]
    assert decays == [p["decay"] for p in points]
    assert cell.score == points[-1]["validation_loss"] == cell.metrics["validation_loss"]
    assert {"validation_loss": cell.score, "validation_accuracy": 0.5} == cell.metrics  # nothing of test
    assert list(range(1, UNITS + 1)) == [p["units"] for p in points]
    assert (script.parent / "after").exists()  # what stands after finish() is run


def test_the_confirm_phase_is_scored_on_test(storage: Storage, script: Path) -> None:
    """It alone, with seeds of its own."""
    _, cells = run(storage, study_of(script, confirm={"seeds": 2}))
    assert [False, True, True] == ["test_loss" in cell.metrics for cell in cells]
    assert 3 == len({cell.metrics["validation_loss"] for cell in cells})


def test_no_secret_reaches_it(storage: Storage, script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the database's URL nor a password."""
    monkeypatch.setenv("HPO_STORAGE", "postgresql://somebody:secret@nowhere/db")
    monkeypatch.setenv("PGPASSWORD", "secret")
    run(storage, study_of(script))
    names = set(json.loads((script.parent / "environment.json").read_text()))
    assert {"HPO_DIR", "HPO_SEED", "HPO_SOCKET"} == {name for name in names if name.startswith(("HPO_", "PG"))}


def undisturbed(study: StudySpec, folder: Path) -> list[dict[str, float | None]]:
    """The curve of the only cell of a study, trained in one go: what it waits for in the folder is there."""
    storage = create_storage(f"sqlite:///{folder / 'undisturbed.db'}")
    (folder / "go").touch()
    _, [cell] = run(storage, study)
    assert "finished" == cell.ended, cell.error
    points = curve(storage, cell)
    storage.close()
    (folder / "go").unlink()
    return points


def interrupted(
    storage: Storage,
    study: StudySpec,
    crew: Crew,
    folder: Path,
    after: int,
    number: signal.Signals,
    is_gone: Callable[[], bool] = lambda: True,
) -> Cell:
    """The only cell of a study whose worker gets a signal where the program waits, `after` units done.

    Once all that must end has ended, what the program waits for is there, and another worker goes on.
    """
    row = begin_study(storage, study)
    [worker] = crew.start()
    wait_until(lambda: storage.ledger.cells(row.id)[0].epochs == after)
    worker.process.send_signal(number)
    wait_until(lambda: worker.process.poll() is not None)
    wait_until(is_gone)
    (folder / "go").touch()
    crew.start()
    crew.wait()
    [cell] = storage.ledger.cells(row.id)
    return cell


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_resumed_exactly(script: Path, postgres_url: str, crew: Crew, number: signal.Signals) -> None:
    """A worker that goes in the middle of a trial: the next one goes on, and the curve is the same bit for bit."""
    expected = undisturbed(study_of(script, "waits"), script.parent)
    (script.parent / "started").unlink()
    storage = create_storage(postgres_url)
    study, started = study_of(script, "waits", trial={"grace": 0.5}), script.parent / "started"
    # The program does not outlive its worker.
    cell = interrupted(storage, study, crew, script.parent, 3, number, lambda: not is_alive(int(started.read_text())))
    assert ("finished", 2) == (cell.ended, cell.claims)
    assert expected == curve(storage, cell)
    assert 2 == len((script.parent / "started").read_text().split())
    storage.close()


def is_alive(pid: int) -> bool:
    """Whether there is such a process that has not ended."""
    try:
        return "zombie" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


@pytest.mark.parametrize("mode", ["child", "session"])
def test_what_it_has_started_ends_with_it(storage: Storage, script: Path, mode: str) -> None:
    """A process that it has left behind is gone, in its session or in one of its own."""
    run(storage, study_of(script, mode))
    assert not is_alive(int((script.parent / "child").read_text()))


def test_pruned(storage: Storage, script: Path) -> None:
    """The ones whose loss is ten times that of the others end before their time, and are told so."""
    arms = {"all": {"search": {"values.width": {"values": [1, 2, 3, 9]}}, "pruner": {"kind": "median", "startup": 2}}}
    _, cells = run(storage, study_of(script, arms=arms))
    assert ["finished", "finished", "finished", "pruned"] == [cell.ended for cell in cells]
    assert cells[-1].epochs < UNITS


def test_diverged(storage: Storage, script: Path) -> None:
    """A loss that is not a number ends it, and it ranks last."""
    _, [cell] = run(storage, study_of(script, "diverges"))
    assert ("diverged", 3, None) == (cell.ended, cell.epochs, cell.score)


def test_what_is_beyond_all_numbers_has_diverged(storage: Storage, script: Path) -> None:
    """As what is infinite: no database and no report could make sense of it."""
    _, [cell] = run(storage, study_of(script, "explodes"))
    assert ("diverged", 3) == (cell.ended, cell.epochs)


def test_a_value_that_no_optimizer_has(storage: Storage, script: Path) -> None:
    """If the script drives its optimizers alone, it would go unheeded."""
    moving = {"width": {"strength": 1.0, "policy": {"kind": "ramp", "direction": "up"}}}
    _, [cell] = run(storage, study_of(script, values=moving, attempts=1))
    assert "failed" == cell.state
    assert "the study moves width, but no optimizer given to drive() has it: read trial.moved(at)['width']" in str(
        cell.error
    )


def test_feedback(storage: Storage, script: Path) -> None:
    """A policy sees what was reported: a gap of 0.4 raises the strength once a unit."""
    policy = {"kind": "accuracy_gap", "raise_above": 0.1, "factor": 2.0}
    _, [cell] = run(storage, study_of(script, values={"weight_decay": {"strength": 0.01, "policy": policy}}))
    found = [point["strength.weight_decay"] for point in curve(storage, cell)]
    assert [pytest.approx(0.01 * 2**unit) for unit in range(UNITS)] == found


@pytest.mark.parametrize(
    ("mode", "trial", "said"),
    [
        ("raises", {}, "the program ended with exit code 1; its last output: "),
        ("exits", {}, "the program ended after 2 of 6 units"),
        ("hangs", {"silence": 0.5}, "the program has not reported anything for 0.5 seconds"),
        ("undriven", {}, "the study moves lr, weight_decay, but the program does not ask for them"),
        ("floods", {}, "the program reported 301 numbers; at most 256 are kept"),
        (
            "",
            {"metric": {"name": "error"}},
            "the program did not report validation_error, by which trials are judged: report error, or set "
            'metric = { name = "loss", goal = … } in the study file',
        ),
        ("", {"length": {"rounds": 7}}, ""),
    ],
)
def test_failures_in_words(storage: Storage, script: Path, mode: str, trial: dict[str, Any], said: str) -> None:
    """What the program did, and what it wrote; a trial of another length than the script's own default is none."""
    _, [cell] = run(storage, study_of(script, mode, trial=trial, attempts=1))
    if not said:
        assert ("finished", 7) == (cell.ended, cell.epochs)
        return
    assert "failed" == cell.state
    assert said in (cell.error or "").replace("\n", " ")
    if mode == "raises":
        assert re.fullmatch(r"train.py:\d+ in <module>: ValueError: the walk has left the map", cell.reason or "")
    elif not mode:
        assert (cell.reason or "").startswith("the program did not report ")


def test_a_value_that_the_script_does_not_know(storage: Storage, script: Path) -> None:
    """It may be misspelt in the study file: what the script does know is said too."""
    _, [cell] = run(storage, study_of(script, attempts=1, values={"wd": 0.1}))
    assert "the study gives 'wd', but the script's call of hpo.trial() does not: add wd=… there, or correct" in (
        cell.reason or ""
    )
    assert "correct 'wd' in the study file; the script knows lr, weight_decay, mode" in (cell.error or "")


def test_another_program_is_not_run(storage: Storage, script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker runs what its operator names, and says how to name it."""
    monkeypatch.setenv("HPO_PROGRAMS", "python other.py")
    with pytest.raises(TargetError) as caught:
        run(storage, study_of(script))
    assert f"may not run {sys.executable} {script}; it may run python other.py" in str(caught.value)
    assert "HPO_PROGRAMS=" in caught.value.hint
    assert not (script.parent / "started").exists()


def test_other_code_is_refused(storage: Storage, script: Path) -> None:
    """As other images are: the script is part of what a study is on."""
    study = study_of(script, arms={"a": {}, "b": {}})
    row = begin_study(storage, study)
    work_here(storage)
    script.write_text(script.read_text() + "\n# changed\n")
    begin_study(storage, study_of(script, name="another"))
    work_here(storage)  # a new study takes the new code
    storage.ledger.set_state(row.id, "running")
    CliRunner().invoke(cli, ["extend", "own", "--trials=1"])
    first = storage.ledger.study("own")
    assert first.data is not None
    assert first.data != storage.ledger.study("another").data
    assert not storage.ledger.same_data(first.id, str(storage.ledger.study("another").data))


def test_launch_study_allows_what_stands_in_its_file(script: Path, tmp_path: Path, sqlite_url: str) -> None:
    """From check to verdict, with a worker of its own."""
    file = tmp_path / "own.toml"
    file.write_text(f"""
name = "own"
[trial]
program = "{sys.executable} {script}"
length = {{ rounds = 3 }}
metric = {{ name = "loss" }}
values.folder = "{script.parent}"
[protocol.confirm]
seeds = 2
[arms.slow]
trial.values.lr = 0.01
[arms.fast]
trial.values.lr = {{ kind = "constant", peak = 0.2 }}
""")
    environment = os.environ | {"HPO_STORAGE": sqlite_url}
    environment.pop("HPO_PROGRAMS")
    command = [sys.executable, "-m", "hpo"]
    checked = subprocess.run([*command, "check", file], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert 0 == checked.returncode, checked.stderr
    # A path that is longer than a line is cut.
    assert f"program:{sys.executable}{script}" in "".join(checked.stdout.split())
    assert "rounds each" in checked.stdout
    launch = [*command, "launch-study", file, "--workers=1"]
    launched = subprocess.run(launch, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert 0 == launched.returncode, launched.stderr
    assert "Test loss; 95 % intervals." in launched.stdout


AWK = r"""
BEGIN {{
    srand(seed); loss = 1.0
    for (unit = 1; unit <= 4; unit++) {{
        loss = loss * (1 - lr) + 0.01 * rand()
        printf "unit %d train %.6f val loss %.6f\n", unit, loss, loss * 1.1
        fflush()
        while (wait == 1 && unit >= 2) system("sleep 0.05")
    }}
    print loss > (dir "/model")
}}
"""


def awk_study(folder: Path, **changes: Any) -> StudySpec:
    """A program in another language, which knows nothing of hpo."""
    (folder / "train.awk").write_text(AWK.replace("{{", "{").replace("}}", "}"))
    program = f"awk -v lr={{lr}} -v seed={{seed}} -v dir={{dir}} -v wait={{wait}} -f {folder / 'train.awk'}"
    trial = {
        "program": program,
        "length": {"units": 4},
        "metric": {"name": "loss"},
        "values": {"lr": 0.1, "wait": 0} | changes.pop("values", {}),
        "reports": {"line": r"unit \d+ train (?P<train_loss>\S+) val loss (?P<validation_loss>\S+)"},
        "test": changes.pop("test", "cat {dir}/model"),
    }
    return parse({"name": "awk", "trial": trial, "protocol": changes, "arms": {"a": {}}})


def test_a_program_that_cannot_be_changed(storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its values on the command line, its reports out of what it prints, its test score by another command."""
    monkeypatch.setenv("HPO_PROGRAMS", "awk\ncat")
    _, cells = run(storage, awk_study(tmp_path, confirm={"seeds": 2}))
    assert ["finished"] * 3 == [cell.ended for cell in cells], [cell.error for cell in cells]
    assert [4] * 3 == [len(curve(storage, cell)) for cell in cells]
    assert 3 == len({cell.score for cell in cells})
    for cell in cells[1:]:
        last = curve(storage, cell)[-1]
        assert pytest.approx(last["train_loss"], abs=1e-4) == cell.metrics["test_loss"]


def test_it_is_let_go_and_begun_anew(tmp_path: Path, postgres_url: str, crew: Crew) -> None:
    """It can't be asked to save: the next worker trains it from its beginning."""
    storage = create_storage(postgres_url)
    row = begin_study(storage, awk_study(tmp_path, values={"wait": 1}))
    os.environ["HPO_PROGRAMS"] = "awk\ncat"
    try:
        [worker] = crew.start()
        wait_until(lambda: storage.ledger.cells(row.id)[0].epochs == 2)
        worker.process.terminate()
        assert 4 == wait_until(worker.process.poll)
        [cell] = storage.ledger.cells(row.id)
        assert ("planned", 2) == (cell.state, cell.epochs)
        script = tmp_path / "train.awk"
        assert not [
            line for line in subprocess.check_output(["ps", "ax"], text=True).splitlines() if str(script) in line
        ]
    finally:
        del os.environ["HPO_PROGRAMS"]
        storage.close()


SHELL = r"""
decay() { sed 's/.*"decay": \([0-9.e-]*\).*/\1/' "$HPO_VALUES"; }
for unit in 1 2 3; do
    now=$(decay)
    echo "{\"validation_loss\": 0.$unit, \"seen\": $now}" >> "$HPO_REPORTS"
    until grep -q "\"at\": $unit" "$HPO_VALUES"; do sleep 0.02; done
done
"""


UNCHANGED = """
import json, random, signal, sys, time
from pathlib import Path
folder, seed, *resumed = sys.argv[1:]
folder, home = Path(folder), Path(__file__).parent
random.seed(int(seed))
first, place = 1, 1.0
if resumed:
    first, place, (version, state, gauss) = json.loads(Path(resumed[0]).read_text())
    random.setstate((version, tuple(state), gauss))
with (home / "started").open("a") as started:
    started.write(f"{first} ")
for epoch in range(first, 7):
    while epoch == 6 and not (home / "go").exists():
        time.sleep(0.02)
    place *= 0.9 + 0.1 * random.random()
    print(f"epoch {epoch - 1}: val {place!r}", flush=True)
    if epoch % 2 == 0:  # every other one: what came after is trained and reported again
        (folder / "last.json").write_text(json.dumps([epoch + 1, place, random.getstate()])BROKEN)
"""


def unchanged_study(folder: Path, broken: str = "") -> StudySpec:
    """A script with a checkpoint of its own, which knows nothing of hpo."""
    (folder / "train.py").write_text(UNCHANGED.replace("BROKEN", broken))
    trial = {
        "program": f"{sys.executable} {folder / 'train.py'} {{dir}} {{seed}}",
        "length": {"epochs": 6},
        "metric": {"name": "loss"},
        "reports": {"line": r"epoch (?P<at>\d+): val (?P<validation_loss>\S+)"},
        "resume": {"file": "last.json", "add": "{dir}/last.json"},
    }
    return parse({"name": "unchanged", "trial": trial, "arms": {"a": {}}})


@pytest.mark.parametrize(
    ("number", "broken", "firsts"),
    [(signal.SIGTERM, "", [1, 5]), (signal.SIGKILL, "", [1, 5]), (signal.SIGTERM, "[:40]", [1, 1])],
)
def test_a_script_with_a_checkpoint_of_its_own(
    tmp_path: Path,
    postgres_url: str,
    crew: Crew,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    broken: str,
    firsts: list[int],
) -> None:
    """It goes on from the file that it wrote last, with the same numbers; from a broken one it begins anew."""
    monkeypatch.setenv("HPO_PROGRAMS", sys.executable)
    study = unchanged_study(tmp_path, broken)
    expected = undisturbed(study, tmp_path)
    (tmp_path / "started").unlink()

    storage = create_storage(postgres_url)
    cell = interrupted(storage, study, crew, tmp_path, 5, number)
    assert ("finished", 6) == (cell.ended, cell.epochs), cell.error
    assert expected == curve(storage, cell)
    assert firsts == [*map(int, (tmp_path / "started").read_text().split())]
    assert bool(broken) == ("the program did not continue from" in crew.said())
    storage.close()


SAVES_ON_SIGTERM = r"""
unit=1
test -e "$HPO_DIR/unit" && unit=$(cat "$HPO_DIR/unit")
echo "begins with $unit" >> "$1/log"
trap 'echo "$unit" > "$HPO_DIR/unit"; exit 0' TERM
while [ "$unit" -le 3 ]; do
    echo "{\"at\": $unit, \"validation_loss\": 0.$unit}" >> "$HPO_REPORTS"
    unit=$((unit + 1))
    while [ "$unit" = 3 ] && [ ! -e "$1/go" ]; do sleep 0.05; done
done
"""


def test_sigterm_means_save_and_end(
    tmp_path: Path, postgres_url: str, crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program in another language that saves when it is asked to goes on there, without further words."""
    (tmp_path / "train.sh").write_text(SAVES_ON_SIGTERM)
    monkeypatch.setenv("HPO_PROGRAMS", "sh")
    trial = {
        "program": f"sh {tmp_path / 'train.sh'} {tmp_path}",
        "length": {"units": 3},
        "metric": {"name": "loss"},
        "reports": {"file": "reports.jsonl"},
        "resume": {"file": "unit"},
    }
    storage = create_storage(postgres_url)
    row = begin_study(storage, parse({"name": "sh", "trial": trial, "arms": {"a": {}}}))
    [worker] = crew.start()
    wait_until(lambda: storage.ledger.cells(row.id)[0].epochs == 2)
    worker.process.terminate()
    assert 4 == wait_until(worker.process.poll)
    (tmp_path / "go").touch()
    crew.start()
    crew.wait()
    [cell] = storage.ledger.cells(row.id)
    assert ("finished", 3) == (cell.ended, cell.epochs), cell.error
    assert "begins with 1\nbegins with 3\n" == (tmp_path / "log").read_text()
    storage.close()


def test_any_language_follows_what_moves(storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By two files: what it is given is written anew after each line of JSON that it appends."""
    script = tmp_path / "train.sh"
    script.write_text(SHELL)
    monkeypatch.setenv("HPO_PROGRAMS", f"sh {script}")
    trial = {
        "program": f"sh {script}",
        "length": {"units": 3},
        "metric": {"name": "loss"},
        "values": {"decay": {"strength": 0.5, "policy": {"kind": "ramp", "direction": "up", "factor": 8.0}}},
        "reports": {"file": "reports.jsonl"},
    }
    _, [cell] = run(storage, parse({"name": "sh", "trial": trial, "arms": {"a": {}}}))
    assert "finished" == cell.ended, cell.error
    assert [pytest.approx(0.5 * 8 ** (unit / 3)) for unit in range(3)] == [p["seen"] for p in curve(storage, cell)]


RACE = """
import random, sys
random.seed(int(sys.argv[1]))
loss = 1.0
for step in range(3):
    loss *= 1 - float(sys.argv[2]) + 0.02 * random.random()
    print(f"step {step} val {loss:.5f}", flush=True)
"""


@pytest.mark.parametrize(
    ("first", "second", "by", "code", "verdict"),
    [
        ("0.3", "0.1", "0", 0, "supported"),
        ("0.1", "0.3", "0", 3, "contradicted"),
        ("0.3", "0.1", "0.9", 3, "contradicted"),
    ],
)
def test_two_programs_compared(
    tmp_path: Path, sqlite_url: str, first: str, second: str, by: str, code: int, verdict: str
) -> None:
    """By exit code and as JSON; the same question again has its answer already."""
    (tmp_path / "race.py").write_text(RACE)
    programs = [f"{sys.executable} race.py {{seed}} {rate}" for rate in (first, second)]
    options = ["--length=3", "--seeds=3", "--line=val (?P<validation_loss>.+)", f"--by={by}", "--json", "--workers=1"]
    command = [sys.executable, "-m", "hpo", "compare", *programs, *options]
    for _ in range(2):
        environment = os.environ | {"HPO_STORAGE": sqlite_url, "PYTHONPATH": str(Path(__file__).parents[2])}
        ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert code == ended.returncode, ended.stderr
        found = json.loads(ended.stdout)
        assert (verdict, 3, "minimize") == (found["verdict"], found["seeds"], found["goal"])
        low, high = found["interval"]
        assert low < found["difference"] < high
        assert pytest.approx(found["difference"]) == found["means"]["first"] - found["means"]["second"]


def test_two_programs_that_ignore_their_seeds(tmp_path: Path, sqlite_url: str) -> None:
    """One number each, eight times: nothing is decided, however far apart they are."""
    (tmp_path / "race.py").write_text(RACE)
    programs = [f"{sys.executable} race.py 7 {rate}" for rate in (0.3, 0.1)]
    options = ["--length=3", "--seeds=8", "--line=val (?P<validation_loss>.+)", "--json", "--workers=1"]
    environment = os.environ | {"HPO_STORAGE": sqlite_url, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "hpo", "compare", *programs, *options]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert 4 == ended.returncode, ended.stderr
    found = json.loads(ended.stdout)
    assert ("undecided", True) == (found["verdict"], "it ignores the seed" in found["reason"])


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ("cat {dir}/nothing", "the program ended with exit code 1"),
        ("echo test loss 0.31 after 12 s", "it must be a number, or JSON by name"),
        ("echo nan", "the program gave test_loss = nan on test, which is not a number"),
        ("echo {{}}", "did not give test_loss"),
    ],
)
def test_a_test_command_that_gives_no_score(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, test: str, said: str
) -> None:
    """The trial has failed, and says why."""
    monkeypatch.setenv("HPO_PROGRAMS", "awk\ncat\necho")
    study = awk_study(tmp_path, confirm={"seeds": 2}, attempts=1, test=test.replace("{{}}", "{}"))
    _, [_, *confirmed] = run(storage, study)
    assert {"failed"} == {cell.state for cell in confirmed}
    assert all(said in (cell.error or "") for cell in confirmed), confirmed[0].error


def test_a_test_command_needs_leave_too(storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the program does: a study file must not run what its operator has not named."""
    monkeypatch.setenv("HPO_PROGRAMS", "awk")
    with pytest.raises(TargetError, match="may not run touch"):
        run(storage, awk_study(tmp_path, confirm={"seeds": 2}, test=f"touch {tmp_path / 'evil'}"))
    assert not (tmp_path / "evil").exists()


def said_by_a_shell(folder: Path, script: str, units: int) -> StudySpec:
    """One trial, tried once, of a shell script that prints `val NUMBER`."""
    (folder / "train.sh").write_text(script)
    trial = {
        "program": f"sh {folder / 'train.sh'}",
        "length": {"units": units},
        "metric": {"name": "loss"},
        "reports": {"line": "val (?P<validation_loss>.+)"},
    }
    return parse({"name": "s", "trial": trial, "arms": {"a": {}}, "protocol": {"attempts": 1}})


def test_a_program_that_fails_after_its_last_report(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has not finished: what it should have left behind may not be there."""
    monkeypatch.setenv("HPO_PROGRAMS", "sh")
    _, [cell] = run(storage, said_by_a_shell(tmp_path, "echo val 1; echo val 2; exit 3\n", 2))
    assert ("failed", True) == (cell.state, "exit code 3" in (cell.error or ""))


def test_many_reports_at_once(storage_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than a statement takes: they are written in several."""
    monkeypatch.setenv("HPO_PROGRAMS", "sh")
    storage = create_storage(storage_url)
    _, [cell] = run(storage, said_by_a_shell(tmp_path, "seq -f 'val %g' 3000", 3000))
    assert ("finished", 3000) == (cell.ended, cell.epochs), cell.error
    assert [float(at) for at in range(1, 3001)] == [point["validation_loss"] for point in curve(storage, cell)]
    storage.close()


PRINTS = """
import os, sys
size = 512 << 20
os.truncate(1, size)  # a hole: as long as what was written, without the disk that it takes
sys.exit("the last word")
"""


def test_a_program_that_has_printed_more_than_there_is_memory(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last words are told all the same, and the worker holds no more than these."""
    (tmp_path / "train.py").write_text(PRINTS)
    monkeypatch.setenv("HPO_PROGRAMS", sys.executable)
    command = f"{sys.executable} {tmp_path / 'train.py'}"
    trial = {"program": command, "length": {"units": 2}, "metric": {"name": "loss"}}
    study = parse({"name": "prints", "trial": trial, "arms": {"a": {}}, "protocol": {"attempts": 1}})
    tracemalloc.start()
    try:
        _, [cell] = run(storage, study)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert ("failed", True) == (cell.state, "the last word" in (cell.error or ""))
    assert most < 64 << 20


def ranks_study(folder: Path) -> StudySpec:
    """Two ranks that torchrun starts."""
    torchrun = f"{sys.executable} -m torch.distributed.run --standalone --nproc-per-node 2"
    trial = {
        "program": f"{torchrun} {Path(__file__).with_name('train_ranks.py')}",
        "length": {"units": 4},
        "metric": {"name": "loss"},
        "values": {"lr": {"kind": "cosine", "peak": 0.1}, "folder": str(folder)},
    }
    return parse({"name": "ranks", "trial": trial, "arms": {"a": {}}})


def test_several_ranks(tmp_path: Path, postgres_url: str, crew: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    """All get the same values and end at the same boundary; killed, they go on with the same numbers, each its own."""
    monkeypatch.setenv("HPO_PROGRAMS", sys.executable)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    expected = undisturbed(ranks_study(tmp_path), tmp_path)

    storage = create_storage(postgres_url)
    # The ranks end too, which torchrun starts in their own sessions.
    cell = interrupted(
        storage, ranks_study(tmp_path), crew, tmp_path, 3, signal.SIGKILL, lambda: not processes_of("train_ranks.py")
    )
    assert ("finished", 2) == (cell.ended, cell.claims), cell.error
    assert expected == curve(storage, cell)
    for rank in range(2):
        assert 3 == len((tmp_path / f"started-{rank}").read_text().split())
    storage.close()


def processes_of(script: str) -> list[str]:
    """What runs with this in its command, of the workers' side."""
    return [
        line for line in subprocess.check_output(["ps", "ax", "-o", "args"], text=True).splitlines() if script in line
    ]


TWO_RANKS = """
import os, subprocess, sys
ranks = [subprocess.Popen([sys.executable, *sys.argv[1:]], env=os.environ | {"RANK": str(rank), "WORLD_SIZE": "2"})
         for rank in range(2)]
sys.exit(max(rank.wait() for rank in ranks))
"""
APART = """
import os, hpo
trial = hpo.trial(length=2)
for unit in trial.loop():
    if os.environ["RANK"] == "0":
        trial.report(validation=1.0)
    else:
        trial.moved(unit)
trial.finish()
"""


def test_ranks_that_go_apart(storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They would wait for each other for ever: each says what it has come to."""
    (tmp_path / "launch.py").write_text(TWO_RANKS)
    (tmp_path / "train.py").write_text(APART)
    command = f"{sys.executable} {tmp_path / 'launch.py'} {tmp_path / 'train.py'}"
    monkeypatch.setenv("HPO_PROGRAMS", sys.executable)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    trial = {"program": command, "length": {"units": 2}, "metric": {"name": "loss"}}
    study = parse({"name": "apart", "trial": trial, "arms": {"a": {}}, "protocol": {"attempts": 1}})
    _, [cell] = run(storage, study)
    assert "failed" == cell.state
    said = "rank 0 is at report() at 1, rank 1 at drive() or moved() at 0: all ranks must make the same calls"
    assert said in (cell.error or "")


def too_large(script: Path, **values: Any) -> StudySpec:
    """Four points of a search, of which two need more memory than there is."""
    search = {"values.width": {"values": [1, 2, 8, 9]}}
    arms = {"only": {"sampler": {"kind": "grid"}, "search": search}, "small": {"trial": {"values": {"width": 1}}}}
    return study_of(script, "too large", arms=arms, values=values, pruner={"kind": "median", "warmup": 1})


@pytest.mark.parametrize("unit", [0, 3])
def test_out_of_memory_is_a_bad_point(
    storage: Storage, sqlite_url: str, script: Path, nvidia_smi: NvidiaSmi, unit: int
) -> None:
    """Where nobody else uses the device: tried once, told to the sampler as bad, counted by the report."""
    nvidia_smi.has_in_use(300)
    study = too_large(script, fails_in=unit)
    _, cells = run(storage, study, "cuda")
    large = [cell for cell in cells if cell.params and cell.params.get("values.width", 0) > 5]
    assert [("diverged", 1, unit, None)] * 2 == [(cell.ended, cell.claims, cell.epochs, cell.score) for cell in large]
    assert all(
        str(cell.reason).startswith("out of memory, although nothing else runs on NVIDIA H100") for cell in large
    )
    assert ["finished"] * 3 == [cell.ended for cell in cells if cell not in large]
    answer = CliRunner().invoke(cli, ["report", study.name], env={"HPO_STORAGE": sqlite_url})
    assert answer.exit_code == 0, answer.output
    assert "2 of 4 trials diverged, 2 of them because the device had too little memory" in " ".join(
        answer.output.split()
    )


@pytest.mark.parametrize(
    ("device", "visible", "expected"),
    [
        ("cuda:1", None, "NVIDIA A100-SXM4-40GB, GPU 0 of 2, MIG-44444444-aaaa-bbbb-cccc-000000000004"),
        ("cuda:2", None, "NVIDIA A100-SXM4-40GB, GPU 1 of 2, GPU-22222222-aaaa-bbbb-cccc-000000000002"),
        ("cuda", "7", "GPU 7"),
    ],
)
def test_the_log_says_on_which_gpu(
    storage: Storage,
    script: Path,
    nvidia_smi: NvidiaSmi,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    device: str,
    visible: str | None,
    expected: str,
) -> None:
    """Its model, which it is of how many, and its UUID, as far as they are known; they are recorded too."""
    nvidia_smi.lists(DIVIDED)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    caplog.set_level("INFO")
    run(storage, study_of(script), device)
    (line,) = [record.message for record in caplog.records if record.message.startswith("worker ")]
    assert line.endswith(f", {expected}")
    (worker,) = storage.ledger.workers()
    assert worker.device == expected.partition(",")[0]
    assert worker.environment["gpu_id"] == visible or expected.endswith(worker.environment["gpu_id"])


def test_out_of_memory_beside_others_is_the_device_s_fault(
    storage: Storage, script: Path, nvidia_smi: NvidiaSmi
) -> None:
    """Somebody else has the memory: the trial is given back, uncounted."""
    nvidia_smi.has_in_use(30_000)
    row = begin_study(storage, too_large(script))
    with pytest.raises(SickMachine, match="the device has failed 2 times in a row"):
        work_here(storage, "cuda")
    left = [cell for cell in storage.ledger.cells(row.id) if cell.state != "done"]
    assert {("planned", 0)} == {(cell.state, cell.attempts) for cell in left}


def test_a_study_of_which_nothing_fits_is_stopped(storage: Storage, script: Path, nvidia_smi: NvidiaSmi) -> None:
    """Its first three trials say enough."""
    nvidia_smi.has_in_use(300)
    search = {"values.width": {"values": [6, 7, 8, 9]}}
    study = study_of(script, "too large", arms={"only": {"sampler": {"kind": "grid"}, "search": search}})
    row, cells = run(storage, study, "cuda")
    found = storage.ledger.study(row.name)
    assert ("failed", 3) == (found.state, sum(cell.state == "done" for cell in cells))
    assert "out of memory" in str(found.reason)


def test_words_of_a_command(storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that calls hpo.trial() may have seed, folder and length on its command line too."""
    script = tmp_path / "words.py"
    script.write_text(
        "import sys, hpo\n"
        "trial: hpo.Trial = hpo.trial()\n"
        "assert sys.argv[1:] == [str(trial.seed), f'{trial.dir}/run', str(trial.length)], sys.argv\n"
        "for unit in trial.loop():\n    trial.report(validation=1.0)\n"
        "trial.finish()\n"
    )
    monkeypatch.setenv("HPO_PROGRAMS", sys.executable)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    trial = {"program": f"{sys.executable} {script} {{seed}} {{dir}}/run {{length}}"}
    _, [cell] = run(storage, study_of(script, trial=trial, values={"lr": 1.0, "weight_decay": 1.0}))
    assert "finished" == cell.ended, cell.error


def test_output_is_kept(storage: Storage, script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempt by attempt, in a file named by study, arm, phase and seed; a folder that can't be made stops nobody."""
    monkeypatch.setenv("HPO_OUTPUT_DIR", str(script.parent / "kept"))
    _, [cell] = run(storage, study_of(script, "too large", values={"width": 9}, attempts=2))
    [file] = (script.parent / "kept" / "own").iterdir()
    assert f"{cell.id}-only-search-seed-{cell.seed}.log" == file.name
    assert 2 == file.read_text().count("MemoryError: CUDA out of memory")

    monkeypatch.setenv("HPO_OUTPUT_DIR", str(script))
    _, [cell] = run(storage, study_of(script, name="again"))
    assert "finished" == cell.ended


def test_what_was_learned_is_kept(storage: Storage, sqlite_url: str, script: Path) -> None:
    """The last checkpoint of the winner's confirm trial, as the script has written it."""
    run(storage, study_of(script, confirm={"seeds": 2}, keep_weights=True))
    file = script.parent / "learned.pt"
    fetched = CliRunner().invoke(cli, ["fetch", "own", "-o", str(file)], env={"HPO_STORAGE": sqlite_url})
    assert fetched.exit_code == 0, fetched.output
    learned = json.loads(file.read_text())
    first = min((cell for cell in storage.ledger.cells(1) if cell.phase == "confirm"), key=lambda cell: cell.seed)
    assert [{"place": first.metrics["test_loss"]}] == learned["keep"]
    assert {"units": UNITS} == learned["state"]


def test_what_was_learned_without_a_word(
    storage: Storage, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file that a program which can't be changed goes on from; one that leaves none has failed."""
    monkeypatch.setenv("HPO_PROGRAMS", "sh")
    (tmp_path / "walk.sh").write_text('echo "at 1 loss 0.5"; if [ "$2" != no ]; then echo learned > "$1/state"; fi')
    trial = {
        "program": f"sh {tmp_path / 'walk.sh'} {{dir}} {{leaves}}",
        "length": {"units": 1},
        "metric": {"name": "loss"},
        "values": {"leaves": "a file"},
        "reports": {"line": r"at (?P<at>\d+) loss (?P<validation_loss>\S+)"},
        "test": "sh -c 'echo 0.25'",
    }
    protocol = {"confirm": {"seeds": 2}, "keep_weights": True, "attempts": 1}
    with pytest.raises(StudyFileError, match="where the program saves its weights is not known"):
        parse({"name": "silent", "trial": trial, "protocol": protocol, "arms": {"a": {}}})
    trial["resume"] = {"file": "state"}
    run(storage, parse({"name": "silent", "trial": trial, "protocol": protocol, "arms": {"a": {}}}))
    file = tmp_path / "learned"
    fetched = CliRunner().invoke(cli, ["fetch", "silent", "-o", str(file)], env={"HPO_STORAGE": sqlite_url})
    assert (0, "learned\n") == (fetched.exit_code, file.read_text()), fetched.output

    trial["values"] = {"leaves": "no"}
    _, cells = run(storage, parse({"name": "none", "trial": trial, "protocol": protocol, "arms": {"a": {}}}))
    assert "has not written" in str(next(cell.error for cell in cells if cell.phase == "confirm"))
