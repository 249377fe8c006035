"""What a report draws, as values: series in panels, which `report.render` gives a look."""

from __future__ import annotations

from hpo.report.figures.figures import figures
from hpo.report.figures.values import Figure

__all__ = ["Figure", "figures"]
