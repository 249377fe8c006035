"""The worker: claim a cell, train it, claim the next, until nothing is left.

worker      the loop: claim, train, plan what follows, wait
session     what a worker has for as long as it lives
studies     what it knows of the studies it works on, and that its images are theirs
cell        one cell from its claim to its end, told as prose
reporter    what is written of a trial while it trains
health      what it has found that it can't do; whose fault a failure is
heartbeat   keeps the lease while there is progress
watchdog    ends a worker that hangs
device      chosen, prepared, tried; whose fault an error was
machine     what is recorded of it, what it lacks, and the look at itself before the first claim
"""

from hpo.worker.session import WorkerOptions
from hpo.worker.worker import Worker, call_deadline, work

__all__ = ["Worker", "WorkerOptions", "call_deadline", "work"]
