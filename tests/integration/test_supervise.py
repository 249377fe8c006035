"""The supervisor of a machine's workers: who is started anew, and who is not. The workers are shells."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from threading import Event

import pytest

from hpo.launch.local import LocalWorker
from hpo.launch.supervise import Ended, Restarts, exit_code, supervise

QUICK = Restarts(in_a_row=2, pause=0.01)


class Shells:
    """Starts shells in place of workers; each runs `script`, where $ATTEMPT says how often it was started before."""

    def __init__(self, folder: Path, script: str) -> None:
        self.started: list[subprocess.Popen[bytes]] = []
        self._folder, self._script = folder, script

    def __call__(self, number: int) -> LocalWorker:
        log = self._folder / f"worker-{number}.log"
        with log.open("ab") as output:
            begins_at = output.tell()
            process = subprocess.Popen(
                ["sh", "-c", self._script],
                env={"ATTEMPT": str(len(self.started)), "NUMBER": str(number), "PATH": "/usr/bin:/bin"},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.started.append(process)
        return LocalWorker(process, log, begins_at)

    def running(self) -> list[subprocess.Popen[bytes]]:
        return [process for process in self.started if process.returncode is None]


@pytest.fixture
def said() -> list[str]:
    """What the supervisor says."""
    return []


@pytest.mark.parametrize(
    ("script", "starts", "code"),
    [
        ("exit 0", 1, 0),
        ("exit 1", 3, 1),
        ("kill -KILL $$", 3, -signal.SIGKILL),
        ("exit 2", 1, 2),
        ("exit 3", 1, 3),
        ("exit 4", 1, 4),
        ("test $ATTEMPT = 1", 2, 0),
        ("exit $((2 - ATTEMPT))", 1, 2),
    ],
)
def test_who_is_started_anew(script: str, starts: int, code: int, said: list[str], tmp_path: Path) -> None:
    """Whoever failed with 1 or was killed, and so many times in a row at most."""
    shells = Shells(tmp_path, script)
    (ended,) = supervise(shells, 1, said.append, Event(), restarts=QUICK)
    assert (starts, code) == (len(shells.started), ended.code)
    assert starts - 1 == sum("starting again in" in line for line in said)


def test_a_long_life_is_a_new_beginning(said: list[str], tmp_path: Path) -> None:
    """Failures count no more once a worker has lived for long: here each does, and the sixth ends well."""
    shells = Shells(tmp_path, "exit $((ATTEMPT < 5))")
    (ended,) = supervise(shells, 1, said.append, Event(), restarts=Restarts(in_a_row=1, pause=0.0, long_life=0.0))
    assert (6, 0) == (len(shells.started), ended.code)


def test_pauses_grow() -> None:
    """Each is twice as long as the one before, up to a longest one."""
    assert [1, 2, 4, 8, 16, 32, 60, 60] == [Restarts().pause_after(failures) for failures in range(1, 9)]


def test_last_words(said: list[str], tmp_path: Path) -> None:
    """Those of the process that ended last, and not of one before it in the same log."""
    script = 'echo working; [ $ATTEMPT = 1 ] || echo "error: it is $ATTEMPT\nhint: wait"; exit $((ATTEMPT < 2 ? 1 : 2))'
    (ended,) = supervise(Shells(tmp_path, script), 1, said.append, Event(), restarts=QUICK)
    assert Ended(2, "it is 2\nhint: wait") == ended
    assert [
        "[0] exit code 1: it is 0",
        "[0] hint: wait",
        "[0] starting again in 0.01 s (1 of 2)",
        "[0] exit code 1: working",
        "[0] starting again in 0.02 s (2 of 2)",
        "[0] exit code 2: it is 2",
        "[0] hint: wait",
    ] == said


def test_one_that_leaves_does_not_stop_the_others(said: list[str], tmp_path: Path) -> None:
    """The others work on to their end."""
    done = tmp_path / "done"
    script = f"[ $NUMBER = 1 ] && exit 2; until [ -e {done} ]; do sleep 0.05; done"
    shells = Shells(tmp_path, script)

    def look() -> None:
        if any("[1] exit code 2" in line for line in said):
            assert 2 == len(shells.running())
            done.touch()

    ended = supervise(shells, 3, said.append, Event(), look)
    assert [0, 2, 0] == [worker.code for worker in ended]


def test_asked_to_stop(said: list[str], tmp_path: Path) -> None:
    """All are asked, and waited for; one that had not begun to listen, or waits to be started anew, held nothing."""
    ready = tmp_path / "ready"
    script = f"""
        case $NUMBER in
            0) trap 'echo saved; exit 4' TERM; touch {ready}-0; while :; do sleep 0.05; done ;;
            1) touch {ready}-1; while :; do sleep 0.05; done ;;
            2) exit 1 ;;
        esac"""
    shells, stop = Shells(tmp_path, script), Event()

    def look() -> None:
        if (tmp_path / "ready-0").exists() and (tmp_path / "ready-1").exists() and any("[2]" in line for line in said):
            stop.set()

    ended = supervise(shells, 3, said.append, stop, look, Restarts(pause=3600.0))
    assert [4, 4, 4] == [worker.code for worker in ended]
    assert "saved" == ended[0].said
    assert 3 == len(shells.started)


def test_one_that_does_not_stop(said: list[str], tmp_path: Path) -> None:
    """It is killed after a time, and that is said."""
    ready = tmp_path / "ready"
    shells, stop = Shells(tmp_path, f"trap '' TERM; touch {ready}; while :; do sleep 0.05; done"), Event()
    (ended,) = supervise(shells, 1, said.append, stop, lambda: stop.set() if ready.exists() else None, grace=0.1)
    assert -signal.SIGKILL == ended.code
    assert ["[0] has not ended in time and is killed; another worker continues its trial"] == said[:1]


def test_nobody_is_left(said: list[str], tmp_path: Path) -> None:
    """Also when the supervisor itself fails."""
    shells = Shells(tmp_path, "while :; do sleep 0.05; done")

    def look() -> None:
        if len(shells.started) == 2:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        supervise(shells, 2, said.append, Event(), look)
    assert [] == shells.running()


def test_nobody_hears_it(tmp_path: Path) -> None:
    """As where the log is on a full disk: the workers go on."""

    def say(line: str) -> None:
        raise OSError(28, "No space left on device")

    (ended,) = supervise(Shells(tmp_path, "exit $((ATTEMPT < 2))"), 1, say, Event(), restarts=QUICK)
    assert 0 == ended.code


def test_one_that_cannot_be_started(said: list[str]) -> None:
    """It is tried again as if it had failed; the reason is said."""

    def start(number: int) -> LocalWorker:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    (ended,) = supervise(start, 1, said.append, Event(), restarts=QUICK)
    assert Ended(1, "it can't be started: Resource temporarily unavailable") == ended


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ([], 0),
        ([0, 0], 0),
        ([0, 4], 4),
        ([4, 1], 1),
        ([4, -9], 1),
        ([1, 3, 0], 3),
        ([4, 3, 2, 1, 0], 2),
    ],
)
def test_one_exit_code_for_all(codes: list[int], expected: int) -> None:
    """What a person must mend is told first, that work is left last."""
    ended = [Ended(code) for code in codes]
    assert expected == exit_code(ended)
    assert (0 if expected == 4 else expected) == exit_code(ended, forever=True)


def test_what_no_longer_goes_on_needs_no_worker(tmp_path: Path, said: list[str]) -> None:
    """A worker that failed because its study did is not started again."""
    shells = Shells(tmp_path, "exit 1")
    (ended,) = supervise(shells, 1, said.append, Event(), restarts=QUICK, goes_on=lambda: False)
    assert (1, 1) == (len(shells.started), ended.code)
