"""The same study without work, run by other programs: plain Optuna, its gRPC proxy, Ray Tune, Syne Tune.

    python benchmarks/peers.py optuna URL STUDY
    python benchmarks/peers.py proxy URL PORT
    python benchmarks/peers.py grpc PORT STUDY
    python benchmarks/peers.py ray WORKERS TRIALS
    python benchmarks/peers.py syne WORKERS TRIALS

Needs no hpo, so that an interpreter of their own can run it (HPO_BENCH_PEERS). The first three run until they are
killed; the last two print their trials per second, start and end not counted, and CPU seconds per trial.
"""

from __future__ import annotations

import math
import os
import resource
import sys
import tempfile
import time
import warnings
from typing import Any

EPOCHS = 20
SHAPES = ("cosine", "constant")
WARM_UP = 4
"""Trials of Ray and Syne Tune before the clock starts."""


def accuracy(epoch: int) -> float:
    """Above all that is in the study, so a pruner is asked and never says yes: all trials have the same length."""
    return 0.95 * (1 - math.exp(-epoch / 4))


def main() -> None:
    """One of the programs."""
    warnings.simplefilter("ignore")
    kind, *arguments = sys.argv[1:]
    {"optuna": _optuna, "proxy": _proxy, "grpc": _grpc, "ray": _ray, "syne": _syne}[kind](*arguments)


def _objective(trial: Any) -> float:
    trial.suggest_float("lr.peak", 0.01, 0.5, log=True)
    trial.suggest_float("regularizers.l2.strength", 1e-5, 1e-1, log=True)
    trial.suggest_float("optimizer.momentum", 0.01, 0.99)
    trial.suggest_categorical("lr.kind", SHAPES)
    for epoch in range(1, EPOCHS + 1):
        trial.report(accuracy(epoch), epoch)
        if trial.should_prune():
            import optuna

            raise optuna.TrialPruned
    return accuracy(EPOCHS)


def _search(storage: Any, name: str) -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.load_study(
        study_name=name, storage=storage, sampler=optuna.samplers.TPESampler(), pruner=optuna.pruners.MedianPruner()
    )
    print("ready", flush=True)
    sys.stdin.readline()
    study.optimize(_objective)


def _optuna(url: str, name: str) -> None:
    from optuna.storages import RDBStorage

    _search(RDBStorage(url, heartbeat_interval=60, skip_table_creation=True), name)


def _proxy(url: str, port: str) -> None:
    from optuna.storages import RDBStorage, get_storage, run_grpc_proxy_server

    run_grpc_proxy_server(get_storage(RDBStorage(url, skip_table_creation=True)), port=int(port))


def _grpc(port: str, name: str) -> None:
    from optuna.storages import GrpcStorageProxy

    storage = GrpcStorageProxy(port=int(port))
    storage.wait_server_ready(timeout=60)
    _search(storage, name)


def _said(began: float, ended: float, trials: int) -> None:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(trials / (ended - began), sum(usage.ru_utime + usage.ru_stime for usage in used) / trials)


def _ray(workers: str, trials: str) -> None:
    import ray
    from ray import tune
    from ray.tune.schedulers import MedianStoppingRule
    from ray.tune.search import ConcurrencyLimiter
    from ray.tune.search.optuna import OptunaSearch

    ended: list[float] = []

    class Clock(tune.Callback):
        def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
            ended.append(time.monotonic())

    def train(config: dict[str, Any]) -> None:
        for epoch in range(1, EPOCHS + 1):
            tune.report({"accuracy": accuracy(epoch)})

    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
    ray.init(num_cpus=int(workers), include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    space = {
        "lr": tune.loguniform(0.01, 0.5),
        "strength": tune.loguniform(1e-5, 1e-1),
        "momentum": tune.uniform(0.0, 0.99),
        "shape": tune.choice(SHAPES),
    }
    search = ConcurrencyLimiter(OptunaSearch(metric="accuracy", mode="max"), max_concurrent=int(workers))
    with tempfile.TemporaryDirectory() as folder:
        tune.Tuner(
            tune.with_resources(train, {"cpu": 1}),
            param_space=space,
            tune_config=tune.TuneConfig(
                metric="accuracy",
                mode="max",
                num_samples=int(trials) + WARM_UP,
                search_alg=search,
                scheduler=MedianStoppingRule(),
            ),
            run_config=tune.RunConfig(storage_path=folder, verbose=0, callbacks=[Clock()]),
        ).fit()
    ray.shutdown()
    _said(ended[WARM_UP - 1], ended[-1], len(ended) - WARM_UP)


def _syne(workers: str, trials: str) -> None:
    import logging

    from syne_tune import StoppingCriterion, Tuner
    from syne_tune.backend import LocalBackend
    from syne_tune.config_space import choice, loguniform, uniform
    from syne_tune.optimizer.baselines import RandomSearch
    from syne_tune.optimizer.schedulers.median_stopping_rule import MedianStoppingRule
    from syne_tune.tuner_callback import TunerCallback

    logging.getLogger().setLevel(logging.ERROR)
    ended: list[float] = []

    class Clock(TunerCallback):
        def on_trial_complete(self, trial: Any, result: Any) -> None:
            ended.append(time.monotonic())

    script = (
        "import argparse\nfrom syne_tune import Reporter\nimport math\n"
        "parser = argparse.ArgumentParser()\n"
        "for name in ('lr', 'strength', 'momentum', 'shape'): parser.add_argument('--' + name)\n"
        "parser.parse_known_args()\nreport = Reporter()\n"
        f"for epoch in range(1, {EPOCHS} + 1): report(epoch=epoch, accuracy=0.95 * (1 - math.exp(-epoch / 4)))\n"
    )
    space = {
        "lr": loguniform(0.01, 0.5),
        "strength": loguniform(1e-5, 1e-1),
        "momentum": uniform(0.0, 0.99),
        "shape": choice(list(SHAPES)),
    }
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SYNETUNE_FOLDER"] = folder
        path = os.path.join(folder, "train.py")
        with open(path, "w") as file:
            file.write(script)
        search = RandomSearch(space, metrics=["accuracy"], do_minimize=False)
        scheduler = MedianStoppingRule(search, time_attr="epoch", metric="accuracy", do_minimize=False)
        Tuner(
            trial_backend=LocalBackend(entry_point=path),
            scheduler=scheduler,
            stop_criterion=StoppingCriterion(max_num_trials_completed=int(trials) + WARM_UP),
            n_workers=int(workers),
            sleep_time=0.1,
            print_update_interval=10_000,
            save_tuner=False,
            callbacks=[Clock()],
        ).run()
    _said(ended[WARM_UP - 1], ended[-1], len(ended) - WARM_UP)


if __name__ == "__main__":
    main()
