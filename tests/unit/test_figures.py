"""Figures say what was measured, and both renderers draw all of them."""

from __future__ import annotations

import re
from dataclasses import replace
from html import escape
from itertools import pairwise
from xml.etree import ElementTree

import optuna
import pytest
from optuna.trial import TrialState

from hpo.report.figures import Figure, figures
from hpo.report.figures.epochs import gradient_norms, learning_curves, what_moved
from hpo.report.figures.importance import Importance, all_importances, arm_importances, importances, tails
from hpo.report.figures.labels import apart, labels
from hpo.report.figures.palette import GLYPHS, TOLD_APART, look
from hpo.report.figures.search_map import search_map
from hpo.report.figures.space import gains, slices
from hpo.report.figures.spending import spending
from hpo.report.figures.values import Axis, Panel, Series, rows_axis, toward_best
from hpo.report.render import svg
from hpo.report.render.plotly_figures import plotly_figure
from hpo.report.verdict.compare import compare
from hpo.storage.rows import first_slot
from hpo.study.file import parse
from hpo.trainers.images.reported import OBJECTIVE
from tests.unit import report_samples
from tests.unit.figure_samples import HIDDEN, confirmed, curves, drawn, searched, study, trial

ALL = [
    "standing",
    "learning-curves",
    "what-moved",
    "gradient-norms",
    "accuracy-by-epochs-spent",
    "gain-by-value",
    "search-map",
    "search-space",
    "importances",
]
HOSTILE = '$\\frac{x}$ </text><script>alert(1)</script> "&'


def of(figure: Figure | None, arm: str, panel: int = 0) -> Series:
    assert figure is not None
    return next(series for series in figure.series if series.arm == arm and series.panel == panel)


def test_every_figure_is_made() -> None:
    """Of a complete study, in the order of reading, and each series fits its panel."""
    made = drawn()
    assert ALL == [figure.id for figure in made]
    for figure in made:
        for series in figure.series:
            assert series.panel < len(figure.panels)
            assert series.arm in figure.arms
            assert len(series.x) == len(series.y) > 0
            assert {len(series.low), len(series.high)} <= {0, len(series.x)}


def test_no_figure_without_numbers() -> None:
    """Neither of a study that hasn't begun, nor of norms that nobody recorded."""
    spec, cells = study(), searched()
    assert figures(spec, [], [], compare(spec, [])) == []
    assert gradient_norms(spec, cells, list(curves(cells, norms=False))) is None


def test_names_of_many_arms_have_room() -> None:
    """20 arms: their names beside a panel lie further apart than a line of text is high."""
    arms = tuple(f"arm_number_{n}" for n in range(20))
    series = tuple(Series(arm, 0, "points", (float(n),), (-float(n),)) for n, arm in enumerate(arms))
    figure = Figure("many", "Many", "", arms, (Panel("", Axis(), rows_axis(arms)),), series)
    (drawn_panel,) = svg.panels(figure)
    heights = sorted(map(float, re.findall(r'y="([\d.]+)" transform[^>]*>arm_number', drawn_panel)))
    assert 20 == len(heights)
    assert min(after - before for before, after in pairwise(heights)) > 10  # the size of the font
    assert 2 * 320 + 100 == plotly_figure(figure).layout.height


def test_learning_curves_show_the_confirm_seeds() -> None:
    """Mean and range over the three seeds of the best configuration, in percent, epoch by epoch."""
    cells = searched()
    cells += confirmed(cells)
    grid = of(learning_curves(study(), cells, list(curves(cells))), "grid")
    assert grid.x == (1.0, 2.0, 3.0, 4.0)
    assert grid.low == pytest.approx((20.0, 40.0, 60.0, 80.0))
    assert grid.y == pytest.approx((20.25, 40.5, 60.75, 81.0))
    assert grid.high == pytest.approx((20.5, 41.0, 61.5, 82.0))


def test_learning_curves_of_test_where_it_was_scored() -> None:
    """Panels of their own, after those of validation; none where test was scored in the end alone."""
    cells = searched()
    cells += confirmed(cells)
    scored = [
        replace(point, metrics={**point.metrics, "test_accuracy": 0.4, "test_loss": 1.5}) for point in curves(cells)
    ]
    titles = [
        [panel.title for panel in found.panels] if (found := learning_curves(study(), cells, points)) else []
        for points in (list(curves(cells)), scored)
    ]
    validation, train = ([f"{split} accuracy", f"{split} loss"] for split in ("Validation", "Train"))
    assert [[*validation, *train], [*validation, "Test accuracy", "Test loss", *train]] == titles


def test_a_metric_has_one_scale() -> None:
    """Accuracies share the axis of both splits, and so do losses."""
    cells = searched()
    cells += confirmed(cells)
    figure = learning_curves(study(), cells, list(curves(cells)))
    assert figure is not None
    validation, loss, train, train_loss = (panel.y for panel in figure.panels)
    assert validation.limits == train.limits and loss == train_loss and loss.log
    assert loss.limits is not None and loss.limits[0] < 0.25 < 1.5 < loss.limits[1]


@pytest.mark.parametrize(("lowest", "log"), [(0.9, False), (0.1, True)])
def test_a_loss_that_hardly_moves_has_a_linear_axis(lowest: float, log: bool) -> None:
    """A logarithmic one would have a single tick, or none."""
    cells = searched()
    points = [
        replace(point, metrics=point.metrics | {"validation_loss": 1.0 - (1.0 - lowest) * point.at / 4})
        for point in curves(cells)
    ]
    figure = learning_curves(study(), cells, [replace(p, metrics=p.metrics | {"train_loss": 1.0}) for p in points])
    assert figure is not None
    [axis] = [panel.y for panel in figure.panels if panel.title == "Validation loss"]
    assert log == axis.log


def test_captions_say_which_of_several_searches_is_shown() -> None:
    """And that an arm is then more than one configuration; its expected best is of all its searches."""
    spec = parse(study().model_dump(exclude_unset=True) | {"protocol": {"searches": 2, "confirm": {"seeds": 3}}})
    cells = searched()
    cells += confirmed(cells)
    cells += [replace(one, id=one.id + 1000, slot=one.slot + first_slot(2)) for one in cells]
    points = list(curves(cells))
    made = {each.id: each for each in figures(spec, cells, points, compare(spec, cells, points))}
    assert re.search(r"grid: what its search \d chose, 3 fresh seeds", made["learning-curves"].caption)
    assert "mean test accuracy of what an arm's searches chose" in made["standing"].caption
    part = made["accuracy-by-epochs-spent"].panels[2]
    assert ("Expected best of a part", "epochs of all the arm's searches") == (part.title, part.x.label)


def test_every_seed_moves_by_itself() -> None:
    """A thin line for each confirm trial, by its seed."""
    cells = confirmed(searched())
    figure = what_moved(study(), searched() + cells, list(curves(cells)))
    assert figure is not None
    own = [one for one in figure.series if (one.arm, one.panel) == ("ramp", 1)]
    assert ["thread"] * 3 == [one.style for one in own]
    assert ["seed 1000", "seed 1001", "seed 1002"] == [one.names[0].partition(", ")[2] for one in own]


def test_learning_curves_before_the_confirm_phase() -> None:
    """The five best search trials stand in; pruned ones are not among them."""
    cells = searched()
    figure = learning_curves(study(), cells, list(curves(cells)))
    ramp = of(figure, "ramp")
    assert (ramp.low[-1], ramp.high[-1]) == pytest.approx((70.0, 82.0))
    assert figure is not None and "ramp: its 5 best search trials" in figure.caption


def test_a_diverged_seed_ends_early() -> None:
    """A loss that isn't finite is no point, and later epochs count the others."""
    cells = confirmed(searched())
    points = [
        replace(point, metrics={"validation_loss": None if point.cell_id == cells[0].id and point.at > 1 else point.at})
        for point in curves(cells)
    ]
    loss = of(learning_curves(study(), searched() + cells, points), "grid", panel=1)
    assert loss.y == (1.0, 2.0, 3.0, 4.0)


def test_what_moved() -> None:
    """Learning rate and strength as recorded in every trial; a strength over a decade is on a logarithmic axis."""
    cells = searched()
    figure = what_moved(study(), cells, list(curves(cells)))
    assert figure is not None
    assert ["Learning rate", "Strength of l2"] == [panel.title for panel in figure.panels]
    assert of(figure, "ramp", 1).y == (0.5, 0.25, 0.125, 0.0625)
    seeds = [one for one in figure.series if (one.arm, one.panel) == ("grid", 1)]
    assert len(seeds) == len({one.names for one in seeds}) == 1, "one search trial represents the arm"
    assert [panel.y.log for panel in figure.panels] == [False, False]
    wide = [replace(point, metrics={**point.metrics, "strength.l2": 0.1**point.at}) for point in curves(cells)]
    figure = what_moved(study(), cells, wide)
    assert figure is not None and [panel.y.log for panel in figure.panels] == [False, True]


def test_spending() -> None:
    """The best so far by epochs spent, pruned trials with what they cost."""
    cells = searched()
    figure = spending(cells, compare(study(), cells))
    best = of(figure, "ramp")
    assert best.x[:3] == (4.0, 8.0, 12.0)
    assert best.x[-1] == 44.0 == sum(cell.epochs for cell in cells if cell.arm == "ramp")
    assert best.y[-1] == pytest.approx(82.0)
    assert re.fullmatch(r"found by trial \d+, seed 0\nl2.strength = 0.0001\n.*60.00 %", best.names[0], re.DOTALL)
    by_time = of(figure, "ramp", 1)
    assert by_time.x[:3] == (1.0, 2.0, 3.0) and by_time.x[-1] == 12.0 and by_time.y == best.y
    assert figure is not None
    pruned = next(series for series in figure.series if series.style == "open points" and series.panel == 3)
    assert pruned.x == (30.0, 32.0)


def test_where_the_search_found_its_best() -> None:
    """Each arm by two of its paths; its best quarter is large, what was pruned open, and words lie along x."""
    figure = search_map(study(), searched(), {"ramp": {"model.hidden": Importance(0.9, 0.8, 1.0)}})
    assert figure is not None
    assert ["grid", "ramp"] == [panel.title for panel in figure.panels]
    assert ["model.hidden", "regularizers.l2.strength"] == [figure.panels[1].x.label, figure.panels[1].y.label]
    counts = {one.style: len(one.x) for one in figure.series if one.arm == "ramp"}
    assert {"open points": 2, "small points": 8, "large points": 2} == counts
    best = next(one for one in figure.series if (one.arm, one.style) == ("ramp", "large points"))
    assert best.x == (80.0, 80.0), "slots 11 and 10"


def test_names_at_lines_keep_apart() -> None:
    """In order, as near to their lines as can be, and within the panel."""
    assert [0.1, 0.5, 0.9] == apart([0.1, 0.5, 0.9], 0.1)
    assert [0.55, 0.45] == pytest.approx(apart([0.51, 0.49], 0.1))
    assert [0.9, 1.0, 0.8] == pytest.approx(apart([0.99, 1.0, 0.98], 0.1))
    assert [0.0, 0.1] == pytest.approx(apart([0.0, 0.0], 0.1))


def test_names_at_lines_that_never_move() -> None:
    """Arms with equal and constant strengths are named beside each other in a panel that has room for them."""
    cells = searched()
    still = [replace(point, metrics={**point.metrics, "strength.l2": 0.1}) for point in curves(cells)]
    figure = what_moved(study(), cells, still)
    assert figure is not None
    names = labels(figure, 1)
    low, high = figure.panels[1].y.limits or (0.0, 0.0)
    assert ["grid", "ramp"] == [one.arm for one in names]
    assert low < names[0].y < 0.1 < names[1].y < high
    assert 2 == len(svg.panels(figure))


def test_slices() -> None:
    """0 has a place on a logarithmic axis, [8] is the number 8, and words stand side by side."""
    figure = slices(study(), searched())
    assert figure is not None
    strength, hidden, direction = figure.panels
    assert strength.x.log and strength.x.ticks[0] == (1e-5, "0")
    assert of(figure, "grid").x == (1e-5, 1e-5, 1e-3, 1e-3, 1e-2, 1e-2)
    assert hidden.x.log and of(figure, "grid", 1).x == (8.0, 80.0) * 3
    assert ["up", "down"] == [text for _, text in direction.x.ticks]
    assert all(round(x) in (0, 1) for x in of(figure, "ramp", 2).x)


def test_gains() -> None:
    """The best of the arm minus the best of the baseline at each value that both list."""
    figure = gains(study(), searched(), "grid")
    gain = of(figure, "ramp")
    assert figure is not None and len(figure.panels) == 1
    assert gain.x == (8.0, 80.0)
    # At 8: ramp's slot 9 (0.78) to grid's slot 4 (0.78); at 80: slot 11 (0.82) to slot 5 (0.80).
    assert gain.y == pytest.approx((0.0, 2.0))


def test_gains_have_an_interval_over_repeats() -> None:
    """Paired by seed: 1 and 3 points of gain are 2 in the mean, and the t interval of two is ± 12.7."""
    spec = report_samples.study(repeats=2)
    cells = [
        report_samples.search(arm, slot, accuracy, seed=seed)
        for slot in range(2)
        for arm, accuracies in (("grid", (0.5, 0.6)), ("ramp", (0.51, 0.63)))
        for seed, accuracy in enumerate(accuracies)
    ]
    gain = of(gains(spec, cells, "grid"), "ramp")
    assert gain.y == pytest.approx((2.0, 2.0))
    assert gain.high == pytest.approx((2.0 + 12.706, 2.0 + 12.706), abs=1e-3)


def test_importances() -> None:
    """What decides the score has nearly all of it; an arm with few trials is left out."""
    cells = [
        trial(
            "ramp",
            slot,
            {
                "regularizers.l2.strength": 10 ** (-4 + slot / 10),
                "regularizers.l2.policy.direction": ("up", "down")[slot // 2 % 2],
                "model.hidden": "[80]",
            },
            0.5 + slot / 100,
        )
        for slot in range(30)
    ]
    cells += [one for one in searched() if one.arm == "grid"]
    figure = importances(study(), all_importances(study(), cells))
    assert figure is not None
    assert ["ramp"] == figure.shown
    shares = dict(zip(of(figure, "ramp").y, of(figure, "ramp").x, strict=True))
    assert sum(shares.values()) == pytest.approx(100.0)
    assert figure.panels[0].y.ticks[0][1] == "l2.strength"
    assert shares[0.0] > 90


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["lr.peak", "regularizers.l2.strength"], ["lr.peak", "l2.strength"]),
        (["lr", "a.lr.peak", "b.lr.peak"], ["lr", "a.lr.peak", "b.lr.peak"]),
    ],
)
def test_tails(paths: list[str], expected: list[str]) -> None:
    """Short names that can still be told apart."""
    assert expected == tails(paths)


def test_limits_leave_out_what_is_far_below() -> None:
    """One that failed doesn't press the others together; without one everything is inside."""
    low, high = toward_best(OBJECTIVE, [10.0, 90.0, 91.0, 92.0, 93.0, 94.0, 95.0, 96.0])
    assert 80 < low < 90 < 96 < high
    assert toward_best(OBJECTIVE, [90.0, 92.0]) == pytest.approx((89.9, 92.1))
    assert toward_best(OBJECTIVE, [50.0]) == (49.0, 51.0)


def hostile() -> Figure:
    """A figure whose texts mean something to matplotlib, XML and HTML; with more arms than colours."""
    arms = tuple(f"arm{n}" for n in range(8))
    axis = Axis(HOSTILE, ticks=((0.0, HOSTILE), (1.0, "b")))
    series = tuple(Series(arm, 0, "points", (0.0, 1.0), (1.0, 2.0), (0.5, 1.5), (1.5, 2.5)) for arm in arms)
    lines = tuple(Series(arm, 1, "line", (0.0, 1.0), (1.0, 2.0)) for arm in arms)
    panels = (Panel(HOSTILE, axis, Axis(zero=True)), Panel("", Axis(), Axis(log=True)))
    return Figure("hostile", HOSTILE, HOSTILE, arms, panels, series + lines)


def test_panels_for_a_page() -> None:
    """Well-formed, ids of their own, ink and colours of the page, and the same bytes again."""
    made = [*drawn(), hostile()]
    elements = [element for figure in made for element in svg.panels(figure)]
    ids = [found for element in elements for found in re.findall(r'\bid="([^"]*)"', element)]
    assert len(ids) == len(set(ids)) > 0
    for element in elements:
        root = ElementTree.fromstring(element.replace("xlink:href", "href"))
        assert root.attrib["viewBox"].startswith("0 0 ")
        assert "currentColor" in element and "var(--arm-" in element
        assert not re.search(r"#[0-9a-f]{6}\b|<script|<style|http", element)
        assert all(f'id="{found}"' in element for found in re.findall(r'(?:url\(|href=")#([^")]+)', element))
    assert elements == [element for figure in made for element in svg.panels(figure)]


def test_texts_are_drawn_as_they_are() -> None:
    """Neither mathematics nor markup."""
    [first, _] = svg.panels(hostile())
    texts = ["".join(text.itertext()) for text in ElementTree.fromstring(first.replace("xlink:href", "href"))[1].iter()]
    assert HOSTILE in texts


def test_files() -> None:
    """SVG and PNG of the whole figure, the same bytes again, and no date in them."""
    figure = hostile()
    assert svg.svg(figure) == svg.svg(figure)
    assert svg.png(figure) == svg.png(figure)
    assert svg.png(figure).startswith(b"\x89PNG")
    assert "<dc:date>" not in svg.svg(figure).decode()
    ElementTree.fromstring(svg.svg(figure))


def test_plotly_reads_no_markup_in_texts() -> None:
    """It takes HTML in titles and at axes for what it is, links too; here it is text."""
    layout = plotly_figure(hostile()).to_dict()["layout"]
    shown = [layout["title"]["text"], layout["xaxis"]["title"]["text"], layout["xaxis"]["ticktext"][0]]
    shown.append(layout["annotations"][0]["text"])
    assert [escape(HOSTILE, quote=False)] * 4 == shown
    assert "<" not in "".join(shown)


def test_plotly_shows_the_same_numbers() -> None:
    """All points of every series, one legend entry per arm, and the panels' axes."""
    for figure in [*drawn(), hostile()]:
        made = plotly_figure(figure).to_dict()
        values = [tuple(trace["x"]) for trace in made["data"] if trace.get("fill") != "toself"]
        assert [series.x for series in figure.series if series.style != "margin"] == values
        assert figure.shown == [trace["name"] for trace in made["data"] if trace["showlegend"]]
        assert len(figure.panels) == sum(key.startswith("xaxis") for key in made["layout"])


def test_importances_are_those_of_the_documented_call() -> None:
    """Of the arm's own Optuna study, its pruned trials left out by Optuna too; each within the spread of the halves."""
    cells = [
        trial(
            "ramp",
            slot,
            {
                "regularizers.l2.strength": 10 ** (-4 + slot / 10),
                "regularizers.l2.policy.direction": ("up", "down")[slot // 2 % 2],
                "model.hidden": HIDDEN[slot // 3 % 2],
            },
            0.5 + (slot * 7 % 30) / 100,
            ended="pruned" if slot % 5 == 0 else "finished",
        )
        for slot in range(30)
    ]
    states = {"pruned": TrialState.PRUNED, "finished": TrialState.COMPLETE}
    space = {path: searched.distribution() for path, searched in study().arms["ramp"].search.items()}
    optunas = optuna.create_study(direction="maximize")
    for one in cells:
        optunas.add_trial(
            optuna.trial.create_trial(
                state=states[str(one.ended)], value=one.score, params=one.params, distributions=space
            )
        )
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=0.25)
    expected = optuna.importance.get_param_importances(optunas, evaluator=evaluator)
    found = arm_importances(study(), "ramp", cells)
    assert expected == {path: pytest.approx(one.share) for path, one in found.items()}
    assert all(0 <= one.low <= one.share <= one.high <= 1 for one in found.values())
    assert max(one.high - one.low for one in found.values()) > 0.05
    assert found == arm_importances(study(), "ramp", cells), "the halves are the same each time"


def many(arms: int) -> Figure:
    """A line and a point of each of so many arms."""
    names = tuple(f"arm{n}" for n in range(arms))
    lines = tuple(Series(arm, 0, "line", (0.0, 1.0), (float(n), n + 1.0)) for n, arm in enumerate(names))
    points = tuple(Series(arm, 1, "points", (0.0,), (float(n),)) for n, arm in enumerate(names))
    return Figure("many", "Many", "", names, (Panel("", Axis(), Axis()), Panel("", Axis(), Axis())), lines + points)


def test_every_arm_has_a_look_of_its_own() -> None:
    """As many as a study may have by colour, mark and dash; where there are only marks, 42."""
    assert 100 == len({look(arm) for arm in range(100)})
    assert TOLD_APART == 42 == len({look(arm)[:2] for arm in range(TOLD_APART)})
    assert all((arm, arm, 0) == look(arm) for arm in range(6)), "few arms need no dashes"


def test_forty_arms_are_drawn_apart() -> None:
    """In the drawing and in its legend, on a page and in plotly, each line has the dash and the mark of its arm."""
    figure = many(40)
    drawn = {
        (line["line"]["color"], line["line"]["dash"], line.get("marker", {}).get("symbol"))
        for line in plotly_figure(figure).to_dict()["data"]
        if line["mode"].startswith("lines")
    }
    assert 40 == len(drawn)
    assert 40 == len({svg.swatch(arm) + GLYPHS[look(arm).marker] for arm in range(40)})
    dashed = re.findall(r"stroke-dasharray: ([\d., ]+)", svg.svg(figure).decode())
    assert 2 * sum(look(arm).dash > 0 for arm in range(40)) <= len(dashed), "the lines, and the legend's"
    assert 4 == len({*dashed})


def test_more_arms_than_looks_are_labelled() -> None:
    """With their names, at their lines and at their points."""
    few, lots = ([text for panel in svg.panels(many(n)) for text in re.findall(r">(arm\d+)<", panel)] for n in (42, 43))
    assert [] == few
    assert sorted([f"arm{n}" for n in range(43)] * 2) == sorted(lots)
