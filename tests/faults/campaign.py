"""A fault campaign: real workers on a real Postgres, ill-treated at random, and a count of what was lost.

    python -m tests.faults.campaign --faults 200 --seed 1 [--trials programs]

Studies are run one after another while a driver injects faults (`tests.faults.kinds`): workers killed, stopped for
longer than their lease (and continued: the zombie), asked to leave, or sick; backends terminated; the server restarted,
in order and by pulling the plug, or read-only; its connections used up; other tools at work on Optuna's side; hosts cut
off the network. Where trials are programs, these are killed too, alone or with their whole session, and have bad habits
of their own (`tests.faults.habits`). At the end every cell must be done exactly once, by one Optuna trial, as it must
end, with the very curve that undisturbed training gives, and no process may be left. The last line printed is one JSON
object.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from optuna.trial import TrialState

from hpo.service import begin_study, find_study, repair_study
from hpo.storage import Storage, create_storage
from tests.faults.kinds import DATABASE, LEASE, Faults, Place
from tests.faults.network import Network, NoNamespacesError, enter
from tests.faults.processes import programs_below
from tests.faults.sickness import EXIT_CODES, SICKNESSES
from tests.faults.subjects import Expected, Key, Subject, how_it_ended, images, programs
from tests.integration.helpers import optuna_trials, stored_curve
from tests.postgres import PostgresServer

WORKERS = 8
NOTHING_LEFT, STOPPED = 0, 4
"""The exit codes of a worker that found nothing to do, and of one that was asked to stop."""
HOSTS = 3
MOST_SECONDS_PER_ROUND = 600.0
PAUSE = 0.25
"""Seconds between faults, on average."""
TOLD = (TrialState.COMPLETE, TrialState.PRUNED)
BEGINS, OF_A_PROGRAM = "Traceback (most recent call last)", "\nhpo.trainers.program.process.ProgramFailed: "
"""How a traceback begins, and how one ends that tells of a program that has failed: the worker is well."""


@dataclass
class Tally:
    """What the campaign counts."""

    faults: Counter[str] = field(default_factory=Counter)
    cells: int = 0
    done: int = 0
    lost: int = 0
    duplicated: int = 0
    orphans: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    """How cells have ended."""
    units_doubled: int = 0
    """That stand more than once in a curve."""
    curves_differing: int = 0
    tracebacks: int = 0
    """In the logs of workers that were not sick."""
    not_told_apart: int = 0
    """Sick workers that ended as if nothing were wrong with their machine."""
    repaired: int = 0
    """Trials that `hpo repair` has made again at the end of a round."""
    retries: int = 0
    workers_started: int = 0
    programs_left: int = 0
    """Processes of programs that are there when all workers have ended, but for those of the next line."""
    left_by_killed_workers: int = 0
    """What programs had started whose worker was killed: nobody is there to end it, and the campaign does."""
    sick: Counter[str] = field(default_factory=Counter)
    """How sick workers ended, if no other fault ended them."""
    seconds: float = 0.0

    def as_json(self) -> str:
        """The result in one line."""
        return json.dumps(vars(self) | {"faults": self.faults.total(), "by_kind": self.faults})


def work(
    url: str, log: str, namespace: str | None, studies: list[str], sickness: str | None, environment: dict[str, str]
) -> None:
    """One worker process: the command `hpo worker`, in a network namespace if one is given, and sick if it is to be."""
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    if namespace is not None:
        enter(Path(namespace))
    os.environ.update(environment, HPO_STORAGE=url)
    tempfile.tempdir = None  # where the variables say from now on
    if sickness is not None:
        SICKNESSES[sickness]()
    from hpo.cli import cli

    cli.main(["worker", *studies, f"--lease={LEASE}", "--checkpoint-every=0.2", "--device=cpu"], prog_name="hpo")


class Campaign:
    """The driver of one round."""

    def __init__(
        self, places: list[Place], faults: Faults, folder: Path, tally: Tally, environment: dict[str, str]
    ) -> None:
        self._places, self._faults, self._folder, self._tally = places, faults, folder, tally
        self._environment = environment
        # Forking from a process that has torch loaded already starts a worker in milliseconds.
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["hpo.cli", "hpo.worker", "sklearn.datasets", "tests.faults.subjects"])

    def run(self, name: str, storage: Storage, most_faults: int, dice: random.Random) -> None:
        """Run one study to its end while faults are injected, at most `most_faults` of them."""
        row, _ = find_study(storage, name)
        began, injected = time.monotonic(), 0
        self._faults.name = name
        while not self._done(storage, row.id):
            if time.monotonic() - began > MOST_SECONDS_PER_ROUND:
                break
            self._staff(name)
            if injected < most_faults:
                kind = self._faults.inject(dice)
                if kind is not None:
                    self._tally.faults[kind] += 1
                    injected += 1
            time.sleep(dice.uniform(0.4, 1.6) * PAUSE)  # the pace of the faults, not a wait for anything
            self._faults.catch_up()
        self._faults.catch_up(everything=True)
        self._end(began + MOST_SECONDS_PER_ROUND)

    def _done(self, storage: Storage, study_id: int) -> bool:
        try:
            return all(not arm.planned and not arm.leased for arm in storage.ledger.progress(study_id))
        except Exception:  # one of our own faults hit the driver's connection
            return False

    def _staff(self, name: str) -> None:
        """Start a worker in every place that has none; one that was sick is followed by a healthy one."""
        for number, place in enumerate(self._places):
            if place.is_at_work:
                continue
            self._note_end(place)
            place.sickness, place.next_sickness = place.next_sickness, None
            log = f"{name}-{number}{'.sick' if place.sickness else ''}.log"
            arguments = (place.url, str(self._folder / log), place.namespace, [name], place.sickness, self._environment)
            place.process = self._context.Process(target=work, args=arguments)
            place.process.start()
            self._tally.workers_started += 1

    def _note_end(self, place: Place) -> None:
        """How a sick worker ended, unless a signal ended it."""
        if place.process is None or place.sickness is None:
            return
        code = place.process.exitcode
        if code is not None and code >= 0:
            self._tally.sick[f"{place.sickness}: exit code {code}"] += 1
            self._tally.not_told_apart += code not in (*EXIT_CODES, NOTHING_LEFT, STOPPED)

    def _end(self, deadline: float) -> None:
        """Wait for the workers to leave of their own accord; those that don't are counted as orphans later."""
        for place in self._places:
            if place.process is not None:
                place.process.join(max(deadline - time.monotonic(), 60.0))
            self._note_end(place)
            place.sickness = None

    def left_behind(self) -> int:
        """Workers that are still there, ended now."""
        left = [place.process for place in self._places if place.process is not None and place.is_at_work]
        for process in left:
            process.kill()
        return len(left)


def check(storage: Storage, name: str, expected: dict[Key, Expected], tally: Tally) -> None:
    """Count what is not as it must be after a round."""
    row, spec = find_study(storage, name)
    cells = storage.ledger.cells(row.id)
    found = optuna_trials(storage.url.render_as_string(False), spec)
    # What another tool has ended as failed stays as it was left; the cell's own trial stands beside it.
    trials = Counter(trial.user_attrs["cell"] for trial in found if trial.state in TOLD)
    running = [trial for trial in found if not trial.state.is_finished()]
    tally.cells += len(cells)
    tally.duplicated += sum(trials[cell.id] > 1 for cell in cells)
    tally.orphans += len(running) + sum(cell_id not in {cell.id for cell in cells} for cell_id in trials)
    tally.retries += sum(max(cell.claims - 1, 0) for cell in cells)
    for cell in cells:
        wanted, ended = expected[cell.arm, cell.slot, cell.seed], how_it_ended(cell)
        curve = stored_curve(storage, row, cell)
        is_done = cell.has_ended and wanted.is_met(ended)
        tally.ended[str(ended)] += 1
        tally.done += is_done
        is_lost = not is_done or (cell.state == "done" and trials[cell.id] == 0)
        tally.lost += is_lost
        tally.units_doubled += len(curve) - len({at for at, _ in curve})
        if not wanted.is_curve(curve, ended):
            tally.curves_differing += 1
            print(f"{name}: {cell}, expected {wanted}, found {curve}", file=sys.stderr)
        if is_lost:
            theirs = [(trial.number, trial.state) for trial in found if trial.user_attrs["cell"] == cell.id]
            print(f"{name}: {cell} ended {ended}, trials {theirs}", file=sys.stderr)


def end_programs(folder: Path, tally: Tally) -> None:
    """Count the processes of programs that are left, and end them."""
    for found in programs_below(folder):
        if found.has_lost_its_worker and not found.is_program:
            tally.left_by_killed_workers += 1
        else:
            tally.programs_left += 1
            print(f"left behind: {found}", file=sys.stderr)
        with suppress(ProcessLookupError):
            os.kill(found.pid, signal.SIGKILL)


@contextmanager
def laboratory() -> Iterator[tuple[PostgresServer, list[Place], Network | None]]:
    """A server, places for workers, and a network with hosts if the machine allows one."""
    with ExitStack() as stack:
        network = None
        listen = "127.0.0.1"
        try:
            network = Network(HOSTS)
            stack.callback(network.remove)
            enter(network.path("db"))
            listen = f"127.0.0.1,{network.address}"
        except NoNamespacesError as error:
            print(f"without cuts of the network: {error}", file=sys.stderr)
        server = PostgresServer(listen, {"max_connections": "60"}).start()
        stack.callback(server.remove)
        server.execute(f"create database {DATABASE}")
        places = [Place(server.url(DATABASE), None) for _ in range(WORKERS)]
        if network is not None:
            for place, host in zip(places, network.hosts, strict=False):
                place.url = server.url(DATABASE, host=network.address)
                place.namespace = str(network.path(host))
        yield server, places, network


def run(faults: int, seed: int, subject: Subject) -> Tally:
    """Inject so many faults into as many studies as that takes."""
    dice, tally, began = random.Random(seed), Tally(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hpo-faults-") as folder, laboratory() as (server, places, network):
        storage = create_storage(server.url(DATABASE))
        trials = Path(folder) / "trials"
        trials.mkdir()
        struck = Faults(server, places, network, subject.sicknesses, trials if subject.are_programs else None)
        campaign = Campaign(places, struck, Path(folder), tally, {**subject.environment, "TMPDIR": str(trials)})
        expected: dict[Key, Expected] = {}
        try:
            while tally.faults.total() < faults:
                name = f"round-{tally.cells}"
                row = begin_study(storage, subject.study(name))
                expected = expected or subject.expected(storage, row)
                campaign.run(name, storage, faults - tally.faults.total(), dice)
                tally.repaired += sum(each.written for each in repair_study(storage, name))
                check(storage, name, expected, tally)
                end_programs(trials, tally)
                tally.seconds = round(time.monotonic() - began, 1)
                print(tally.as_json(), file=sys.stderr, flush=True)
                if tally.lost:
                    break
        finally:
            tally.orphans += campaign.left_behind()
            end_programs(trials, tally)
        logs = "".join(log.read_text() for log in Path(folder).glob("*.log") if ".sick" not in log.name)
        tally.tracebacks = logs.count(BEGINS) - logs.count(OF_A_PROGRAM)
        if tally.tracebacks:
            print(*_unexplained(logs), sep="\n", file=sys.stderr)
        storage.close()
    return tally


def _unexplained(logs: str) -> list[str]:
    """The tracebacks, as far as they are shown, that are not about a program that has failed."""
    return [text[:4000] for text in logs.split(BEGINS)[1:] if OF_A_PROGRAM not in text][:3]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--trials", choices=["images", "programs"], default="images", help="what trials are")
    parser.add_argument("--repeats", type=int, default=5, help="of 24 cells a round, of 23 if they are programs")
    arguments = parser.parse_args()
    subject = {"images": images, "programs": programs}[arguments.trials](arguments.repeats)
    print(run(arguments.faults, arguments.seed, subject).as_json())


if __name__ == "__main__":
    main()
