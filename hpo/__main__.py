"""The command `hpo`, which is also `python -m hpo`: signals are heeded before anything large is imported."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from hpo.errors import WorkLeft
from hpo.process.signals import end_on_signal


def main() -> None:
    """The entry point of the command."""
    end_on_signal(interrupted_code(sys.argv[1:]))
    from hpo.cli import main as run

    run()


def interrupted_code(arguments: Sequence[str]) -> int:
    """The exit code if a signal comes before the command has begun to listen: what it would give a moment later."""
    if arguments[:1] not in (["worker"], ["start-workers"]):
        return 130
    return 0 if "--forever" in arguments else WorkLeft.exit_code


if __name__ == "__main__":
    main()
