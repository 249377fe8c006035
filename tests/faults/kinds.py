"""The faults that a campaign injects: each is a method that says whether there was anything to strike."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

import optuna
import psycopg2
from optuna.exceptions import OptunaError
from optuna.trial import TrialState
from sqlalchemy.exc import DBAPIError

from tests.faults.network import Network
from tests.faults.processes import programs_below
from tests.faults.sickness import SICKNESSES
from tests.postgres import PostgresServer

LEASE = 2.0
DATABASE = "faults"


@dataclass
class Place:
    """Where one of the workers runs."""

    url: str
    namespace: str | None
    process: BaseProcess | None = None
    sickness: str | None = None
    """What the worker there lacks."""
    next_sickness: str | None = None
    """What the next one will lack."""

    @property
    def is_at_work(self) -> bool:
        return self.process is not None and self.process.is_alive()


class Faults:
    """All kinds of faults, and those that are to end by themselves."""

    def __init__(
        self,
        server: PostgresServer,
        places: list[Place],
        network: Network | None,
        sicknesses: Sequence[str] = tuple(SICKNESSES),
        programs: Path | None = None,
    ) -> None:
        """`programs`: where the folders of trials are that are programs."""
        self._server, self._places, self._network = server, places, network
        self._sicknesses, self._programs = sicknesses, programs
        self._later: list[tuple[float, Callable[[], None]]] = []
        self._stopped: set[int] = set()
        self.name = ""
        """Of the study at hand."""
        self._kinds: dict[str, tuple[int, Callable[[random.Random], bool]]] = {
            "kill": (4, lambda dice: self._signal(dice, signal.SIGKILL)),
            "terminate": (3, lambda dice: self._signal(dice, signal.SIGTERM)),
            "stop": (3, self._stop),
            "sick": (2 if sicknesses else 0, self._sicken),
            "backend": (6, self._terminate_backend),
            "restart": (1, lambda dice: self._restart(signal.SIGINT)),
            "crash": (1, lambda dice: self._restart(signal.SIGQUIT)),
            "read only": (1, self._make_read_only),
            "connections": (1, self._use_up_connections),
            "study deleted": (1, self._delete_optuna_study),
            "study renamed": (1, self._rename_optuna_study),
            "trial failed": (1, self._fail_a_trial),
            "cut": (2 if network else 0, self._cut),
            "program killed": (8 if programs else 0, lambda dice: self._kill_a_program(dice, os.kill)),
            "group killed": (6 if programs else 0, lambda dice: self._kill_a_program(dice, os.killpg)),
        }

    def inject(self, dice: random.Random) -> str | None:
        """Inject a fault, chosen by the dice; returns its kind, or None if there was nothing to strike."""
        [kind] = dice.choices(list(self._kinds), [weight for weight, _ in self._kinds.values()])
        try:
            return kind if self._kinds[kind][1](dice) else None
        except (psycopg2.Error, DBAPIError, OptunaError):  # an earlier fault keeps the driver out as well
            return None
        except KeyError:  # as Optuna says that a study or a trial is not there, for an earlier fault has removed it
            return None

    def catch_up(self, everything: bool = False) -> None:
        """End those faults whose time has come."""
        while due := [item for item in self._later if everything or item[0] <= time.monotonic()]:
            self._later = [item for item in self._later if item not in due]
            for _, action in due:
                action()

    # Workers

    def _running(self) -> list[Place]:
        return [place for place in self._places if place.is_at_work and place.process.pid not in self._stopped]

    def _signal(self, dice: random.Random, number: signal.Signals) -> bool:
        running = self._running()
        if running:
            _send(dice.choice(running), number)
        return bool(running)

    def _stop(self, dice: random.Random) -> bool:
        """A worker stands still for longer than its lease, and goes on: the zombie."""
        running = self._running()
        if len(running) < len(self._places) // 2:
            return False
        place = dice.choice(running)
        pid = place.process.pid
        self._stopped.add(pid)
        _send(place, signal.SIGSTOP)

        def go_on() -> None:
            self._stopped.discard(pid)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

        self._after(LEASE * dice.uniform(1.2, 2.5), go_on)
        return True

    def _sicken(self, dice: random.Random) -> bool:
        """The next worker in a place is a sick one."""
        running = [place for place in self._running() if place.sickness is None]
        if len(running) < len(self._places) // 2:
            return False
        place = dice.choice(running)
        place.next_sickness = dice.choice(self._sicknesses)
        _send(place, signal.SIGKILL)
        return True

    def _kill_a_program(self, dice: random.Random, kill: Callable[[int, signal.Signals], None]) -> bool:
        """The program of a trial, alone or with what it has started in its session."""
        assert self._programs is not None
        running = sorted(found.pid for found in programs_below(self._programs) if found.is_program)
        if running:
            with suppress(ProcessLookupError):
                kill(dice.choice(running), signal.SIGKILL)
        return bool(running)

    # The database

    def _terminate_backend(self, dice: random.Random) -> bool:
        found = self._server.execute("select pid from pg_stat_activity where application_name = 'hpo'")
        if found:
            [pid] = dice.choice(found)
            self._server.execute(f"select pg_terminate_backend({pid})")
        return bool(found)

    def _restart(self, how: signal.Signals) -> bool:
        self._server.restart(how)
        return True

    def _make_read_only(self, dice: random.Random) -> bool:
        """As a server that becomes a standby, for some seconds."""
        self._server.execute("alter system set default_transaction_read_only = on")
        self._server.execute("select pg_reload_conf()")

        def writable_again() -> None:
            try:
                self._server.execute("alter system reset default_transaction_read_only")
                self._server.execute("select pg_reload_conf()")
            except psycopg2.OperationalError:  # all connections are in use
                self._after(0.2, writable_again)

        self._after(dice.uniform(0.5, 3.0), writable_again)
        return True

    def _use_up_connections(self, dice: random.Random) -> bool:
        taken = []
        with suppress(psycopg2.OperationalError):
            while True:
                taken.append(psycopg2.connect(self._server.url().replace("+psycopg2", "")))

        def give_back() -> None:
            for connection in taken:
                connection.close()

        self._after(dice.uniform(0.2, 1.0), give_back)
        return True

    def _cut(self, dice: random.Random) -> bool:
        assert self._network is not None
        network, host = self._network, dice.choice(self._network.hosts)
        network.cut(host)
        self._after(LEASE * dice.uniform(0.5, 2.0), lambda: network.heal(host))
        return True

    # Other tools, on Optuna's side of the study

    @property
    def _url(self) -> str:
        return self._server.url(DATABASE)

    def _delete_optuna_study(self, dice: random.Random) -> bool:
        optuna.delete_study(study_name=f"{self.name}/grid", storage=self._url)
        return True

    def _rename_optuna_study(self, dice: random.Random) -> bool:
        """As the dashboard does; the new name is nobody's."""
        new = f"theirs-{dice.randrange(10**9)}"
        rename = f"update studies set study_name = '{new}' where study_name = '{self.name}/grid' returning study_id"
        return bool(self._server.execute(rename, DATABASE))

    def _fail_a_trial(self, dice: random.Random) -> bool:
        """As a script does that cleans up what seems to hang."""
        study = optuna.load_study(study_name=f"{self.name}/grid", storage=self._url)
        running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        if running:
            study._storage.set_trial_state_values(dice.choice(running)._trial_id, TrialState.FAIL)
        return bool(running)

    def _after(self, seconds: float, action: Callable[[], None]) -> None:
        self._later.append((time.monotonic() + seconds, action))


def _send(place: Place, number: signal.Signals) -> None:
    assert place.process is not None and place.process.pid is not None
    with suppress(ProcessLookupError):
        os.kill(place.process.pid, number)
