"""What the benchmark of reach counts is what somebody would count who joined everything with everything."""

from __future__ import annotations

import duckdb

from include.benchmark import reach


def test_placements_and_overlaps_are_those_of_the_people_themselves(tmp_path):
    reach.prepare(tmp_path / "inputs", 20_000)
    (tmp_path / "output").mkdir()
    rows = reach.TOPIC.variant("ours").run(tmp_path / "inputs", tmp_path / "output")
    overlaps, cells = reach.count_together(tmp_path / "output")
    assert rows == len(overlaps) + len(cells)
    with duckdb.connect(str(tmp_path / "inputs" / "everything.duckdb"), read_only=True) as connection:
        connection.execute(
            """
            create temp table members as
            select distinct set_id, coalesce(person_key, member_id) as person
            from int_audience_membership
            inner join int_reach_sets using (audience_id)
            left join int_known_visitors on member_id = visitor_id;
            create temp table met as
            select coalesce(person_key, visitor_id) as person, lpad(hour::varchar, 2, '0') as value
            from int_visitor_events left join int_known_visitors using (visitor_id)
            """
        )
        at_hours = connection.execute(
            """
            select set_id, value, count(distinct person) as found
            from members inner join met using (person)
            group by all order by all
            """
        ).df()
        together = connection.execute(
            """
            select one.set_id as set_a, other.set_id as set_b, count(distinct person) as found
            from members as one inner join members as other using (person)
            where one.set_id < other.set_id group by all order by all
            """
        ).df()
    of_hours = cells[cells["dimension"] == "hour"].sort_values(["set_id", "value"])
    assert len(at_hours) > 4_000
    assert of_hours[at_hours.columns].values.tolist() == at_hours.values.tolist()
    assert overlaps[together.columns].values.tolist() == together.values.tolist()
