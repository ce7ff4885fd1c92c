"""The dashboards as Superset imports them: a ZIP of YAML, the same bytes for the same descriptions.

The format is Superset's own of exported assets, version 1.0.0 (`superset/commands/importers/v1/assets.py`).
"""

from __future__ import annotations

import json
import re
import uuid
import zipfile
from pathlib import Path
from typing import Any

import yaml

from include.bi.boards import GRAINS, Board, Chart, boards
from include.bi.datasets import Dataset, datasets
from include.lake import replacing

ROOT, VERSION = "tandem", "1.0.0"
NAMES = uuid.UUID(
    "7c9d1f5e-6f0a-5b7e-9c36-2d1a0b8e4f71"
)  # of what this project names; any, but always the same
COLUMNS = 12  # of Superset's grid
BARS = 20  # the longest; more have no room for their names
HEIGHTS = {"number": 18, "table": 54, "histogram": 50, "bar": 50, "lines": 50, "heatmap": 70}
TYPES = {
    "varchar": "STRING",
    "timestamp": "TIMESTAMP",
    "date": "DATE",
    "boolean": "BOOLEAN",
    "bigint": "BIGINT",
}
NO_DATE = (1980, 1, 1, 0, 0, 0)  # a ZIP has to say one


def _heading(column: str) -> str:
    """The name of a column as people read it."""
    return re.sub(
        r"\b(auc|cpu|ttl)\b",
        lambda found: found[0].upper(),
        column.replace("_", " ").capitalize(),
        flags=re.I,
    )


def write_bundle(path: Path, uri: str) -> Path:
    """Write the ZIP that `provision.py` brings to Superset. `uri` is SQLAlchemy's, without a password: Superset asks
    its own configuration for that."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as bundle:
        for name, content in sorted(bundle_files(uri).items()):
            bundle.writestr(zipfile.ZipInfo(f"{ROOT}/{name}", NO_DATE), _yaml(content))
    return path


def bundle_files(uri: str) -> dict[str, dict[str, Any]]:
    """Each file of the bundle by its path."""
    shown = boards()
    used = sorted(
        {name for board in shown.values() for name in board.datasets}
        | {each.dataset for board in shown.values() for each in board.filters}
    )
    files = {
        "metadata.yaml": {"version": VERSION, "type": "assets", "timestamp": "1980-01-01T00:00:00+00:00"},
        "databases/tandem.yaml": _database(uri),
    }
    for name in used:
        files[f"datasets/tandem/{name}.yaml"] = _dataset(datasets()[name])
    for slug, board in shown.items():
        for chart in board.charts:
            files[f"charts/{_id_of('chart', slug, chart.title)}.yaml"] = _chart(slug, chart)
        files[f"dashboards/{slug}.yaml"] = _dashboard(slug, board)
    return files


def _database(uri: str) -> dict[str, Any]:
    return {
        "database_name": "Tandem",
        "sqlalchemy_uri": uri,
        "expose_in_sqllab": True,
        "allow_run_async": False,
        "allow_ctas": False,
        "allow_cvas": False,
        "allow_dml": False,
        "allow_file_upload": False,
        "extra": {"allows_virtual_table_explore": True},
        "uuid": _id_of("database"),
        "version": VERSION,
    }


def _dataset(source: Dataset) -> dict[str, Any]:
    return {
        "table_name": source.name,
        "schema": source.side,
        "sql": source.sql or None,
        "description": source.description,
        "main_dttm_col": None,
        "filter_select_enabled": True,
        "columns": [
            {
                "column_name": column.name,
                "verbose_name": _heading(column.name),
                "type": TYPES.get(column.type, "DOUBLE" if column.type == "double" else column.type.upper()),
                "description": column.description,
                "is_dttm": column.is_time,
                "is_active": True,
                "groupby": True,
                "filterable": True,
                "expression": None,
            }
            for column in source.columns
        ],
        "metrics": [
            {
                "metric_name": metric.name,
                "verbose_name": metric.label,
                "expression": metric.expression,
                "description": metric.description,
                "d3format": metric.format,
                "metric_type": None,
            }
            for metric in source.metrics
        ],
        "uuid": _id_of("dataset", source.name),
        "database_uuid": _id_of("database"),
        "version": VERSION,
    }


def _chart(slug: str, chart: Chart) -> dict[str, Any]:
    kind, drawn = _drawn(chart)
    parameters = {"viz_type": kind, "adhoc_filters": _filters(chart), "row_limit": 1000, **drawn}
    return {
        "slice_name": chart.title,
        "viz_type": kind,
        "params": parameters,
        "description": " ".join(
            metric.description for metric in chart.source.metrics if metric.name in chart.measures
        ),
        "uuid": _id_of("chart", slug, chart.title),
        "dataset_uuid": _id_of("dataset", chart.dataset),
        "version": VERSION,
    }


def _filters(chart: Chart) -> list[dict[str, Any]]:
    if not chart.where:
        return []
    return [{"clause": "WHERE", "expressionType": "SQL", "sqlExpression": chart.where}]


def _drawn(chart: Chart) -> tuple[str, dict[str, Any]]:
    """Superset's name of the kind of chart, and what its form would hold."""
    metrics = list(chart.measures)
    formats = {metric.name: metric.format for metric in chart.source.metrics}
    measured = formats[metrics[0]] if metrics else ""
    if chart.kind == "number":
        return "big_number_total", {
            "metric": chart.metric,
            "y_axis_format": measured,
            "header_font_size": 0.4,
        }
    if chart.kind == "bar":
        return "echarts_timeseries_bar", {
            "x_axis": chart.by[0],
            "x_axis_sort": metrics[0],
            "x_axis_sort_asc": True,
            "metrics": metrics,
            "groupby": [chart.series] if chart.series else [],
            **(
                {}
                if chart.series
                else {"row_limit": BARS, "timeseries_limit_metric": metrics[0], "order_desc": True}
            ),
            "orientation": "horizontal",
            "stack": "Stack" if chart.series else None,
            "show_legend": bool(chart.series) or len(metrics) > 1,
            "show_value": not chart.series,
            "y_axis_format": measured,
            "truncateYAxis": False,
            "rich_tooltip": True,
        }
    if chart.kind == "lines":
        return "echarts_timeseries_line", {
            "x_axis": chart.by[0],
            "time_grain_sqla": GRAINS[chart.grain or "day"],
            "metrics": metrics,
            "groupby": [chart.series] if chart.series else [],
            "y_axis_format": measured,
            "markerEnabled": True,
            "show_legend": True,
            "rich_tooltip": True,
            "x_axis_time_format": "%Y-%m-%d",
        }
    if chart.kind == "heatmap":
        return "heatmap_v2", {
            "x_axis": chart.by[0],
            "groupby": chart.series,
            "metric": metrics[0],
            "linear_color_scheme": "schemeBlues",
            "normalize_across": "heatmap",
            "sort_x_axis": "alpha_asc",
            "sort_y_axis": "alpha_asc",
            "show_values": True,
            "show_legend": False,
            "left_margin": "auto",
            "bottom_margin": 25,
            "x_axis_label_rotation": 45,
            "value_bounds": [None, None],
            "y_axis_format": measured,
            "xscale_interval": 1,
            "yscale_interval": 1,
        }
    if chart.kind == "histogram":
        return "histogram_v2", {
            "column": chart.column,
            "bins": chart.bins,
            "groupby": [],
            "normalize": False,
            "show_legend": False,
            "show_value": False,
            "x_axis_title": _heading(chart.column),
            "y_axis_title": "Rows",
            "row_limit": 0,
        }
    return "table", _table(chart, formats)


def _table(chart: Chart, formats: dict[str, str]) -> dict[str, Any]:
    name, ascending = chart.order.lstrip("-"), not chart.order.startswith("-")
    types = {column.name: column.type for column in chart.source.columns}
    shares = {each for each in chart.columns if "share" in each} | set(chart.percent)
    numbers = {
        each: ".1%" if each in shares else ",.2~f" for each in chart.columns if types[each] == "double"
    }
    configured = {each: {"d3NumberFormat": form} for each, form in (numbers | formats).items()}
    common = {
        "column_config": configured,
        "table_timestamp_format": "%Y-%m-%d",
        "include_search": True,
        "page_length": 10,
        "show_cell_bars": False,
    }
    if chart.columns:
        order = [json.dumps([name, ascending])] if name else []
        return {"query_mode": "raw", "all_columns": list(chart.columns), "order_by_cols": order, **common}
    return {
        "query_mode": "aggregate",
        "groupby": list(chart.by),
        "metrics": list(chart.measures),
        "timeseries_limit_metric": chart.measures[0],
        "order_desc": True,
        **common,
    }


def _dashboard(slug: str, board: Board) -> dict[str, Any]:
    return {
        "dashboard_title": board.title,
        "description": board.description,
        "slug": slug,
        "published": True,
        "uuid": _id_of("dashboard", slug),
        "position": _position(slug, board),
        "metadata": {
            "native_filter_configuration": [
                {
                    "id": f"NATIVE_FILTER-{_id_of('filter', slug, each.label)}",
                    "type": "NATIVE_FILTER",
                    "filterType": "filter_select",
                    "name": each.label,
                    "targets": [
                        {"column": {"name": each.column}, "datasetUuid": _id_of("dataset", each.dataset)}
                    ],
                    "scope": {"rootPath": ["ROOT_ID"], "excluded": []},
                    "controlValues": {"multiSelect": True, "enableEmptyFilter": False},
                    "defaultDataMask": {"extraFormData": {}, "filterState": {}, "ownState": {}},
                    "cascadeParentIds": [],
                }
                for each in board.filters
            ],
            "refresh_frequency": 0,
            "cross_filters_enabled": True,
        },
        "version": VERSION,
    }


def _position(slug: str, board: Board) -> dict[str, Any]:
    """Superset's tree of a dashboard: root, grid, and in it a heading and rows of charts for each section."""
    tree: dict[str, Any] = {
        "DASHBOARD_VERSION_KEY": "v2",
        "ROOT_ID": {"id": "ROOT_ID", "type": "ROOT", "children": ["GRID_ID"]},
        "HEADER_ID": {"id": "HEADER_ID", "type": "HEADER", "meta": {"text": board.title}},
        "GRID_ID": {"id": "GRID_ID", "type": "GRID", "children": [], "parents": ["ROOT_ID"]},
    }
    for section_number, section in enumerate(board.sections):
        header = f"HEADER-{slug}-{section_number}"
        tree["GRID_ID"]["children"].append(header)
        tree[header] = {
            "id": header,
            "type": "HEADER",
            "children": [],
            "parents": ["ROOT_ID", "GRID_ID"],
            "meta": {
                "text": section.title,
                "headerSize": "MEDIUM_HEADER",
                "background": "BACKGROUND_TRANSPARENT",
            },
        }
        for row_number, row in enumerate(section.rows):
            row_id = f"ROW-{slug}-{section_number}-{row_number}"
            tree["GRID_ID"]["children"].append(row_id)
            charts = [_placed(slug, chart, COLUMNS // len(row), row_id) for chart in row]
            tree |= {placed["id"]: placed for placed in charts}
            tree[row_id] = {
                "id": row_id,
                "type": "ROW",
                "children": [placed["id"] for placed in charts],
                "parents": ["ROOT_ID", "GRID_ID"],
                "meta": {"background": "BACKGROUND_TRANSPARENT"},
            }
    return tree


def _placed(slug: str, chart: Chart, width: int, row_id: str) -> dict[str, Any]:
    identity = _id_of("chart", slug, chart.title)
    return {
        "id": f"CHART-{identity}",
        "type": "CHART",
        "children": [],
        "parents": ["ROOT_ID", "GRID_ID", row_id],
        "meta": {
            "uuid": identity,
            "chartId": int(identity[:8], 16),  # Superset puts its own there, by the uuid
            "sliceName": chart.title,
            "width": width,
            "height": HEIGHTS[chart.kind],
        },
    }


def _id_of(*names: str) -> str:
    return str(uuid.uuid5(NAMES, "/".join(names)))


def _yaml(content: dict[str, Any]) -> str:
    return yaml.safe_dump(content)
