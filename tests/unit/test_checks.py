"""Every mistake of a study file is told at once, in the words of the file, with where things belong."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from hpo.errors import StudyFileError
from hpo.study.file import MOST_MISTAKES, parse

STUDY = """
name = "s"
[trial]
epochs = 4
batch_size = 32
data = { kind = "digits" }
model = { kind = "mlp", hidden = [8, 8] }
optimizer = { kind = "sgd" }
lr = { kind = "cosine", peak = 0.1 }
regularizers.l2 = { kind = "l2", strength = 1e-3 }
[protocol]
budget = { epochs = 40 }
confirm = { seeds = 2 }
[arms.grid]
search."lr.peak" = { values = [0.1, 0.2] }
[arms.tpe]
sampler = { kind = "tpe" }
search."lr.peak" = { low = 0.01, high = 0.5 }
[[claims]]
text = "a claim"
greater = { arm = "tpe", than = "grid" }
"""


def said(*replacements: tuple[str, str]) -> list[str]:
    """The lines about the study with these pieces replaced."""
    text = STUDY
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new, 1)
    with pytest.raises(StudyFileError) as caught:
        parse(tomllib.loads(text))
    return str(caught.value).splitlines()


def test_the_study_is_right() -> None:
    """So what is said below is about what is replaced."""
    parse(tomllib.loads(STUDY))


def begin(expected: list[str], lines: list[str]) -> bool:
    """Whether there are just these lines, each of them beginning so."""
    return len(expected) == len(lines) and all(
        line.startswith(start) for start, line in zip(expected, lines, strict=True)
    )


def test_one_mistake_hides_no_other() -> None:
    """Of a table, of all tables, between them, in trials that arms make, and of what they may spend."""
    lines = said(
        ('name = "s"', 'name = "s"\ntitel = "x"\nsauce = 1'),
        ("epochs = 4", "epochs = 4\nbach_size = 1\nepocs = 2"),
        ('kind = "sgd"', 'kind = "sgd", momentun = 1, nestorov = true, nesterov = 5'),
        ("seeds = 2", "seeds = 0, to = 1"),
        ("values = [0.1, 0.2]", "values = [0.1, -0.2]"),
        ('kind = "tpe" }', 'kind = "tpa" }\ntrial.lr.floor = 1'),
        ('than = "grid"', 'than = "gird"'),
    )
    expected = [
        "unknown key 'titel'",
        "unknown key 'sauce'",
        "protocol.confirm: unknown key 'to'",
        "protocol.confirm.seeds: input should be greater than or equal to 1, not 0",
        "arms.tpe.sampler: unknown kind 'tpa'",
        "trial: unknown key 'bach_size'",
        "trial: unknown key 'epocs'",
        "trial.optimizer: unknown key 'momentun'",
        "trial.optimizer: unknown key 'nestorov'",
        "trial.optimizer.nesterov: input should be a valid boolean, not 5",
        "arms.grid.trial.lr.peak: input should be greater than 0, not -0.2",
        "arms.tpe.trial.lr: floor (1) must not exceed peak (0.1)",
        "claims.0.greater.than: there is no arm 'gird'",
    ]
    assert begin(expected, lines), lines


def test_budgets_and_limits_beside_others() -> None:
    """They are looked at as soon as every table is well-formed."""
    lines = said(
        ("epochs = 40", "epochs = 3"),
        ("seeds = 2 }", "seeds = 2 }\nseed = 2147483648\nbaseline = 'gird'"),
        ("low = 0.01", "low = -0.01"),
    )
    expected = [
        "arms.tpe.trial.lr.peak: input should be greater than 0, not -0.01",
        "protocol.baseline: there is no arm 'gird'",
        "arms.grid: the grid's 2 trials of 4 epochs need 8 epochs, the budget is 3",
        "arms.tpe: one trial of 4 epochs needs 4 epochs, the budget is 3",
        "protocol.seed: at most 2147483647 is allowed",
    ]
    assert begin(expected, lines), lines


def test_a_mistake_of_the_trial_is_told_once() -> None:
    """Not again for every arm, but for what an arm itself adds."""
    lines = said(('kind = "cosine"', 'kind = "cosine", flor = 1'), ('"tpe" }', '"tpe" }\ntrial.optimizer.momentum = 2'))
    assert begin(["trial.lr: unknown key 'flor'", "arms.tpe.trial.optimizer.momentum: input should be less"], lines), (
        lines
    )


def test_a_slip_is_not_missed_as_well() -> None:
    """What is given under a name with a slip is not told to be missing."""
    assert begin(["trial: unknown key 'epoch'; allowed: epochs"], said(("epochs = 4", "epoch = 4")))


def test_many_mistakes_are_cut() -> None:
    """To so many lines as one may read, and how many more there are."""
    lines = said(('name = "s"', 'name = "s"\n' + "\n".join(f"x{number} = 1" for number in range(80))))
    assert [MOST_MISTAKES + 1, "and 30 more"] == [len(lines), lines[-1]]


@pytest.mark.parametrize(
    ("old", "new", "advice"),
    [
        ('kind = "sgd"', 'kind = "sgd", lr = 0.1', "lr belongs to [trial]: trial.lr = …"),
        ('kind = "sgd"', 'kind = "adamW"', "did you mean 'adamw'?"),
        ('kind = "sgd"', 'kind = "sgd", betas = [0.9, 0.99]', "it is a key of the kind 'adam' or 'adamw'"),
        (
            'kind = "sgd"',
            'kind = "sgd", weight_decay = 0.1',
            "weight_decay is a kind of trial.regularizers.NAME: { kind",
        ),
        ('kind = "cosine"', 'kind = "plateau"', "plateau belongs to [trial]: trial.plateau = …"),
        ("hidden = [8, 8]", "hidden = [8, 8], dropout = 0.5", "dropout is a kind of trial.regularizers.NAME: { kind"),
        ("epochs = 4", "epochs = 4\nbudget = 4", "budget belongs elsewhere: protocol.budget or arms.NAME.budget"),
        ("epochs = 4", 'epochs = 4\ntitle = "x"', "title belongs to the top of the file, before the first [table]"),
        ("[protocol]", "[protocol]\nepochs = 4", "epochs belongs elsewhere: trial.epochs or protocol.budget.epochs"),
        ("seeds = 2", "seeds = 2, seed = 3", "did you mean 'seeds'?"),
        ('"tpe" }', '"tpe" }\ntrial.optimizer.lr = 0.1', "lr belongs to [trial]: trial.lr = …"),
    ],
)
def test_where_it_belongs(old: str, new: str, advice: str) -> None:
    """A key that is at home elsewhere is told where; a slip of one that is allowed, which was meant."""
    (line,) = said((old, new))
    assert line.partition("; allowed: ")[2].partition("; ")[2].startswith(advice), line


def test_a_moment_of_test() -> None:
    """Test is scored in the end alone, unless the trial asks for more."""
    moment = ('than = "grid" }', 'than = "grid", metric = "test_accuracy", at = 0.5 }')
    (line,) = said(moment)
    assert "claims.0.greater.at: test_accuracy is scored only after the last epoch;" in line
    assert "set trial.test_curve = true" in line
    asked = STUDY.replace(*moment).replace("\nepochs = 4\n", "\nepochs = 4\ntest_curve = true\n")
    assert 0.5 == parse(tomllib.loads(asked)).claims[0].comparison.at


# --- the values of a message are those of the file


def test_between_the_ends() -> None:
    """A mistake that neither end makes is told by an example that one can read."""
    depths = (
        'search."lr.peak" = { low = 0.01, high = 0.5 }',
        'search."model.depth" = { low = 8, high = 20, integer = true }',
    )
    assert [
        "arms.tpe.trial.model.depth: 9 is not 6n + 2: the nearest depths are 8 and 14 "
        '(for example at "model.depth" = 9)'
    ] == said(('{ kind = "mlp", hidden = [8, 8] }', '{ kind = "resnet", depth = 8 }'), depths)


def test_no_value_that_nobody_wrote() -> None:
    """Both ends are wrong, each is shown as it is written, and nothing between them."""
    lines = said(("low = 0.01, high = 0.5", "low = -0.4718, high = -0.19"))
    assert ["not -0.4718", "not -0.19"] == [line.partition(", ")[2].partition(" (")[0] for line in lines]
    assert ["-0.4718", "-0.19"] == [line.rpartition("= ")[2].rstrip(")") for line in lines]


def test_the_value_that_makes_it() -> None:
    """Also the first one, if others don't make it; what every trial of the arm has is told without."""
    nets = "search.model.values = { one = { kind = 'resnet' }, two = { kind = 'mlp', hidden = [8] } }"
    lines = said(
        ('search."lr.peak" = { values = [0.1, 0.2] }', f"{nets}\ntrial.lr.floor = 1.0"),
    )
    assert [
        "arms.grid.trial.model.depth: missing; it has no default (with model = 'one')",
        "arms.grid.trial.lr: floor (1) must not exceed peak (0.1)",
    ] == lines


def test_steps_that_miss_the_high_end() -> None:
    """An end that no step comes to is not tried: depths 8, 14 and 20 are right."""
    depths = 'search."model.depth" = { low = 8, high = 21, step = 6, integer = true }'
    text = STUDY.replace('{ kind = "mlp", hidden = [8, 8] }', '{ kind = "resnet", depth = 8 }')
    parse(tomllib.loads(text.replace('search."lr.peak" = { low = 0.01, high = 0.5 }', depths)))


# --- elements of lists


def test_elements_of_lists() -> None:
    """Each by its place, from 0; the others stay."""
    sizes = 'search."model.hidden.1" = { low = 16, high = 64, log = true, integer = true }\nsearch."lr.peak"'
    study = parse(tomllib.loads(STUDY.replace('"tpe" }\nsearch."lr.peak"', f'"tpe" }}\n{sizes}')))
    params: dict[str, Any] = {"model.hidden.1": 40, "lr.peak": 0.1}
    assert (8, 40) == study.trial_of("tpe", params).model.model_dump()["hidden"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("model.hidden.2", "arms.grid.trial.model.hidden: there is no element '2'; the list has 2 elements, 0 to 1"),
        ("model.hidden.-1", "arms.grid.trial.model.hidden: a list [ … ] is needed, not {'-1': 16}"),
        ("gradient_norms.0", "arms.grid.trial.gradient_norms: a list is needed before its elements can be set"),
        ("model.hidden.0.x", "arms.grid.trial.model.hidden.0: input should be a valid integer, not {'x': 16}"),
    ],
)
def test_no_such_element(path: str, expected: str) -> None:
    """Beyond the end, before the beginning, of a list that isn't there, below a number."""
    first, *_ = said(('search."lr.peak" = { values = [0.1, 0.2] }', f'search."{path}" = {{ values = [16] }}'))
    assert first.startswith(expected), first


@pytest.mark.parametrize(("old", "new"), [("[protocol]", "[protocoll]"), ("confirm =", "confrim =")])
def test_nothing_is_missing_because_of_a_slip(old: str, new: str) -> None:
    """A claim about test needs the confirm phase, which is there under a name with a slip."""
    [line] = said((old, new))
    assert "did you mean" in line
