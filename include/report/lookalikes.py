"""Look-alikes: how much better than chance and than activity the model finds people like an audience."""

from __future__ import annotations

import json

from include.report.charts import Bar, Line, bars, lines
from include.report.formats import count, exact, share, times, words
from include.report.sections import Absent, Figure, Source, text_of


def lift_curves(source: Source) -> Figure | Absent:
    """The lift of the best model by the share of people taken, and that of activity alone."""
    rows = source.table(
        "dmp/lookalike_models",
        """
        select audience_id, lift_at_5, curve
        from released where lift_at_5 is not null and curve is not null and curve <> '[]'
        order by lift_at_5 desc, audience_id
        """,
    )
    if not rows:
        return Absent(
            "Lift curve", "No look-alike model was trained, or its people were too few to measure it."
        )
    names = source.names()
    shown = rows[:5]
    curves = {name: json.loads(curve) for name, _, curve in shown}
    best = curves[shown[0][0]]
    series = [
        Line(
            names.get(name, name),
            tuple((each["share"], each["lift"]) for each in curve),
            tuple((each["share"], each["low"], each["high"]) for each in curve)
            if name == shown[0][0]
            else (),
        )
        for name, curve in curves.items()
    ]
    series.append(Line("activity alone", tuple((each["share"], each["activity_lift"]) for each in best)))
    title = (
        f"The most alike 5 % hold {times(shown[0][1])} times as many people like “{series[0].name}” as chance"
    )
    return Figure(
        title,
        "How many times more of the hidden audience is among the most alike than among as many at random. The band is "
        "the 95 % interval of the first; activity alone, for the first audience too, is the model to beat.",
        "lift, by share of the visitors taken",
        lines(title, series, share, lambda y: f"{y:g}×", reference=1.0),
        ("audience", "share taken", "lift", "low", "high", "activity alone"),
        tuple(
            text_of(
                words(name),
                share(each["share"]),
                *(times(each[key]) for key in ("lift", "low", "high", "activity_lift")),
            )
            for name, curve in curves.items()
            for each in curve
        ),
        key=(*((f"l{number}", line.name) for number, line in enumerate(series, 1)), ("mark", "chance")),
    )


def reach_curves(source: Source) -> Figure | Absent:
    """What share of the hidden audience is found among the most alike: lift times the share of people taken."""
    rows = source.table(
        "dmp/lookalike_models",
        """
        select audience_id, curve from released where lift_at_5 is not null and curve is not null and curve <> '[]'
        order by lift_at_5 desc, audience_id
        """,
    )
    if not rows:
        return Absent(
            "Reach curve", "No look-alike model was trained, or its people were too few to measure it."
        )
    names = source.names()
    curves = {name: [(0.0, 0.0), *_found(json.loads(curve))] for name, curve in rows[:5]}
    series = [Line(names.get(name, name), tuple(curve)) for name, curve in curves.items()]
    last = series[0].points[-1][0]
    series.append(Line("chance", ((0.0, 0.0), (last, last))))
    tenth = next((found for at, found in series[0].points if at >= 0.1), series[0].points[-1][1])
    title = f"A tenth of the visitors holds {share(tenth)} of those like “{series[0].name}”"
    return Figure(
        title,
        "How much of the hidden audience is reached when the most alike are taken: the farther above chance, the less "
        "is wasted on others.",
        "share of the hidden audience, by share of the visitors taken",
        lines(title, series, share, share),
        ("audience", "share taken", "share found"),
        tuple(
            text_of(words(name), share(at), share(found, 1))
            for name, curve in curves.items()
            for at, found in curve[1:]
        ),
        key=tuple((f"l{number}", line.name) for number, line in enumerate(series, 1)),
    )


def _found(curve: list[dict[str, float]]) -> list[tuple[float, float]]:
    return [(each["share"], min(each["lift"] * each["share"], 1.0)) for each in curve]


def learned(source: Source) -> Figure | Absent:
    """The scorecard of every model run, and its verdict."""
    rows = source.table(
        "dmp/lookalike_models",
        """
        select audience_id, seed_size, candidate_size, auc, lift_at_5, lift_at_5_low, lift_at_5_high,
            activity_lift_at_5, verdict, reason
        from released order by lift_at_5 desc nulls last, audience_id
        """,
    )
    if not rows:
        return Absent(
            "Look-alikes", "No audience asks for look-alikes, or there is nobody to compare it with."
        )
    names = source.names()
    published = sum(row[8] == "published" for row in rows)
    title = f"{published} of {len(rows)} look-alike audiences are published"
    return Figure(
        title,
        "One is published when it clearly beats activity alone on people it has not seen. The table says why one is "
        "not.",
        "lift among the most alike 5 %",
        bars(
            title,
            [
                Bar(
                    f"{names.get(row[0], row[0])} ({row[8]})",
                    times(row[4]) or "not measured",
                    (row[4] or 0,),
                    *row[5:8],
                )
                for row in rows
            ],
        ),
        (
            "audience",
            "seeds",
            "candidates",
            "AUC",
            "lift at 5 %",
            "low",
            "high",
            "activity alone",
            "verdict",
            "reason",
        ),
        tuple(
            text_of(
                words(row[0]),
                count(row[1]),
                count(row[2]),
                exact(row[3]),
                *(times(each) for each in row[4:8]),
                *row[8:],
            )
            for row in rows
        ),
        key=(("s1", "the model, with its interval"), ("mark", "activity alone")),
    )
