"""A sweep of Weights & Biases as a study: what it searches and by what it judges; and what has no counterpart."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from hpo.errors import UserError

ARM = "sweep"
SAMPLERS = {"grid": "grid", "random": "random", "bayes": "tpe"}
"""Their methods -> our samplers."""
SPLIT = re.compile(r"^(val|valid|validation|eval|test)[_/.]")
TRIALS = 20
"""The trials of a sweep that would go on until somebody stops it."""


def converted(sweep: Mapping[str, Any], name: str, length: int | None, unit: str) -> tuple[dict[str, Any], list[str]]:
    """The tables of a study, and a line for each thing that a person has to look at.

    Raises:
        UserError: it is not a sweep.
    """
    parameters = sweep.get("parameters")
    if not isinstance(parameters, Mapping) or not parameters:
        raise UserError("this is not a sweep: it has no `parameters`", hint="give the YAML file of a W&B sweep")
    notes: list[str] = []
    values: dict[str, Any] = {}
    search: dict[str, Any] = {}
    for path, given in _flat(parameters):
        searched = _searched(path, given, notes)
        if isinstance(searched, dict):
            search[f"values.{path}"] = searched
            values[path] = _example(searched)
        elif searched is not None:
            values[path] = searched[0]
    metric = _metric(sweep.get("metric"), notes)
    trial = {
        "program": _command(sweep, list(values), notes),
        "length": {unit: length or 1},
        "metric": metric,
        "values": values,
        "reports": {"line": rf"{metric['name']}\D+(?P<validation_{metric['name']}>\S+)"},
    }
    notes.append("reports: W&B's log is not read; let the program print its metric once per unit, or call hpo.trial()")
    if length is None:
        notes.append("length: a sweep does not say how long a run is; give the number of reports (--length)")
    arm = {"sampler": {"kind": _sampler(sweep, notes)}, "search": search}
    return {"name": name, "trial": trial, "protocol": _protocol(sweep, notes), "arms": {ARM: arm}}, notes


def _flat(parameters: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each parameter; those of nested ones by both names, since a value's name has no dots."""
    for name, given in parameters.items():
        path = re.sub(r"[^A-Za-z0-9_-]", "_", f"{above}{name}")
        if isinstance(given, Mapping) and isinstance(given.get("parameters"), Mapping):
            yield from _flat(given["parameters"], f"{path}_")
        else:
            yield path, given if isinstance(given, Mapping) else {"value": given}


def _searched(path: str, given: Mapping[str, Any], notes: list[str]) -> dict[str, Any] | list[Any] | None:
    """A range or values; a list of the one value that is fixed; None if there is no counterpart."""
    kind = given.get("distribution")
    if "value" in given:
        return [given["value"]]
    if "values" in given:
        if "probabilities" in given:
            notes.append(f"{path}: probabilities have no counterpart; all values are equally likely")
        found = list(given["values"])
        return [found[0]] if len(found) == 1 else {"values": found}
    low, high = given.get("min"), given.get("max")
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        notes.append(f"{path}: {kind or 'this'} has no counterpart; give a range or values")
        return None
    kind = kind or ("int_uniform" if isinstance(low, int) and isinstance(high, int) else "uniform")
    match kind:
        case "uniform":
            return {"low": float(low), "high": float(high)}
        case "int_uniform":
            return {"low": float(low), "high": float(high), "integer": True}
        case "q_uniform":
            return {"low": float(low), "high": float(high), "step": float(given.get("q", 1))}
        case "log_uniform_values" | "q_log_uniform_values":
            if "q" in given:
                notes.append(f"{path}: steps on a log scale have no counterpart; all numbers of the range are searched")
            return {"low": float(low), "high": float(high), "log": True}
        case "log_uniform":
            return {"low": math.exp(low), "high": math.exp(high), "log": True}
    notes.append(f"{path}: {kind} has no counterpart; its range is searched uniformly")
    return {"low": float(low), "high": float(high)}


def _example(searched: Mapping[str, Any]) -> Any:
    if "values" in searched:
        return searched["values"][0]
    return int(searched["low"]) if searched.get("integer") else searched["low"]


def _metric(given: Any, notes: list[str]) -> dict[str, Any]:
    if not isinstance(given, Mapping) or "name" not in given:
        notes.append("metric: the sweep names none; here it is called loss")
        return {"name": "loss", "goal": "minimize"}
    name = str(given["name"])
    if name.startswith("test"):
        notes.append(
            f"metric: {name} would choose by test scores, which should not be seen before the end; report a validation "
            "metric"
        )
    base = re.sub(r"[^A-Za-z0-9_]", "_", SPLIT.sub("", name))
    return {"name": base, "goal": "maximize" if given.get("goal") == "maximize" else "minimize"}


def _command(sweep: Mapping[str, Any], values: list[str], notes: list[str]) -> str:
    arguments = " ".join(f"--{name}={{{name}}}" for name in values)
    program = str(sweep.get("program", "train.py"))
    command = sweep.get("command")
    if not isinstance(command, list):
        return f"python {program} {arguments}"
    known = {"${env}": "", "${interpreter}": "python", "${program}": program, "${args}": arguments}
    words = []
    for word in map(str, command):
        if word.startswith("${") and word not in known:
            notes.append(f"command: {word} has no counterpart; name each value as {{name}}")
        else:
            words.append(known.get(word, word))
    return " ".join(word for word in words if word)


def _sampler(sweep: Mapping[str, Any], notes: list[str]) -> str:
    method = str(sweep.get("method", "bayes"))
    if method == "bayes":
        notes.append("method: bayes is a Gaussian process in W&B; tpe is used here")
    if method not in SAMPLERS:
        notes.append(f"method: {method} has no counterpart; random is used")
    return SAMPLERS.get(method, "random")


def _protocol(sweep: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    protocol: dict[str, Any] = {}
    if sweep.get("method") != "grid":
        cap = sweep.get("run_cap")
        if not isinstance(cap, int):
            notes.append(f"run_cap: the sweep would run until it is stopped; here it has {TRIALS} trials")
        protocol["budget"] = {"trials": cap if isinstance(cap, int) else TRIALS}
        if sweep.get("early_terminate"):
            protocol["pruner"] = {"kind": "hyperband"}
            notes.append("early_terminate: hyperband with its default settings; see docs/reference.md")
    notes.append("confirm: a sweep reports the best of all its trials; add [protocol.confirm] for an unbiased score")
    handled = {
        "method",
        "metric",
        "parameters",
        "program",
        "command",
        "run_cap",
        "early_terminate",
        "name",
        "description",
    }
    notes += [f"{key}: left out" for key in sweep if key not in handled]
    return protocol
