"""Dashboards as `include/bi/dashboards/*.yml` describe them: what, never how a BI tool draws it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator

from include.bi.datasets import Dataset, datasets
from include.core_yaml import load_yaml
from include.settings import PROJECT

BOARDS = PROJECT / "include" / "bi" / "dashboards"
GRAINS = {"day": "P1D", "week": "P1W", "month": "P1M"}
Names = Annotated[
    tuple[str, ...], BeforeValidator(lambda given: (given,) if isinstance(given, str) else given)
]


class _Described(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Filter(_Described):
    """A choice for whoever looks; it holds for every chart whose dataset has the column."""

    label: str
    dataset: str
    column: str


class Chart(_Described):
    """A chart: metrics of a dataset `by` columns, in `series`; or rows with their `columns`."""

    title: str
    kind: Literal["number", "bar", "lines", "heatmap", "histogram", "table"]
    dataset: str
    metrics: tuple[str, ...] = ()
    metric: str = ""
    by: Names = ()
    series: str = ""
    grain: Literal["day", "week", "month", ""] = ""
    columns: tuple[str, ...] = ()
    percent: tuple[str, ...] = ()  # of the columns, those that are shares under another name
    column: str = ""
    bins: int = 20
    where: str = ""
    order: str = ""

    @model_validator(mode="after")
    def _names_what_is_there(self) -> Chart:
        source = datasets().get(self.dataset)
        if source is None:
            raise ValueError(f"chart {self.title!r}: no dataset {self.dataset!r}")
        ordered = self.order.lstrip("-")
        known = {column.name for column in source.columns}
        used = {*self.by, *self.columns, *self.percent, *filter(None, (self.series, self.column, ordered))}
        if used - known:
            raise ValueError(f"chart {self.title!r}: {self.dataset} has no column {sorted(used - known)}")
        measured = {metric.name for metric in source.metrics}
        if set(self.measures) - measured:
            raise ValueError(
                f"chart {self.title!r}: dbt defines no metric {sorted(set(self.measures) - measured)} "
                f"of {self.dataset}"
            )
        return self

    @property
    def source(self) -> Dataset:
        return datasets()[self.dataset]

    @property
    def measures(self) -> tuple[str, ...]:
        return (self.metric,) if self.metric else self.metrics

    @property
    def query(self) -> str:
        """What the chart asks of the database, in SQL that DuckDB and PostgreSQL both understand."""
        dimensions = [f'"{name}"' for name in (*self.by, *filter(None, (self.series,)))]
        plain = [f'"{name}"' for name in (*self.columns, *filter(None, (self.column,)))]
        measured = [
            f'{metric.expression} as "{metric.name}"'
            for metric in self.source.metrics
            if metric.name in self.measures
        ]
        where = f" where {self.where}" if self.where else ""
        group = f" group by {', '.join(dimensions)}" if dimensions else ""
        return (
            f"select {', '.join([*dimensions, *plain, *measured])} from {self.source.relation}{where}{group}"
        )


class Section(_Described):
    """Rows of charts under a heading."""

    title: str
    rows: tuple[tuple[Chart, ...], ...]


class Board(_Described):
    """One dashboard."""

    title: str
    description: str
    filters: tuple[Filter, ...] = ()
    sections: tuple[Section, ...]

    @property
    def charts(self) -> list[Chart]:
        return [chart for section in self.sections for row in section.rows for chart in row]

    @property
    def datasets(self) -> list[str]:
        """The datasets that its charts read, each once."""
        return sorted({chart.dataset for chart in self.charts})


def boards(folder: Path = BOARDS) -> dict[str, Board]:
    """Every dashboard by its short name. Raises ValueError for what names nothing that is there."""
    return {path.stem: Board.model_validate(load_yaml(path)) for path in sorted(folder.glob("*.yml"))}
