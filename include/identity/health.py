"""How well the graph is: sizes, tiers, edges by fate, links and changes of a day, as counts one can watch."""

from __future__ import annotations

from datetime import date

from include.identity.engine import Engine, text

# The sizes that a marketer asks about: alone, a pair, a few, many, and what somebody should look at.
SIZES = (("1", 1), ("2", 2), ("3 to 5", 5), ("6 to 10", 10), ("11 to 50", 50), ("51 to 200", 200))
LARGER = "more than 200"


def create_health(engine: Engine, day: date) -> None:
    """Make `health(as_of_date, measure, part, value)`: one row per measure and part of it, a total's part is 'all'.

    Nodes are records, and the combinations of identifiers of what was done. Sizes and tiers count customers: by their
    nodes, and by the weakest evidence that holds a customer's records together, or what was done where there is none.
    """
    size = "\n".join(f"when nodes <= {most} then {text(name)}" for name, most in SIZES)
    tier = "case when parts > 1 then 'strict' else 'exact' end"
    measures = {
        "customers": "select 'all' as part, count(*) as value from sized",
        "largest_customer": "select 'all' as part, coalesce(max(nodes), 0) as value from sized",
        "customers_by_size": (
            f"select case {size} else {text(LARGER)} end as part, count(*) as value from sized"
            f" group by case {size} else {text(LARGER)} end"
        ),
        "customers_by_tier": f"select {tier} as part, count(*) as value from sized group by {tier}",
        "nodes": "select 'all' as part, count(*) as value from node_customer",
        "nodes_of_nobody": "select 'all' as part, count(*) as value from node_customer where customer_id is null",
        "edges": "select status as part, count(*) as value from observed_edge group by status",
        "edges_by_reason": (
            "select reason as part, count(*) as value from observed_edge where reason is not null group by reason"
        ),
        "links": "select tier as part, count(*) as value from link group by tier",
        "changes": (
            f"select change as part, count(*) as value from change_of_customer where as_of_date = date '{day:%Y-%m-%d}'"
            " group by change"
        ),
    }
    engine.create_table(
        "sized",
        """
        select
            node_customer.customer_id,
            count(*) as nodes,
            coalesce(
                nullif(
                    count(
                        distinct case
                            when node_facts.is_record = 1 then coalesce(exact_membership.component, node_customer.node)
                        end
                    ),
                    0
                ),
                count(distinct coalesce(exact_membership.component, node_customer.node))
            ) as parts
        from node_customer
        inner join node_facts on node_customer.node = node_facts.node
        left join exact_membership on node_customer.node = exact_membership.node
        where node_customer.customer_id is not null
        group by node_customer.customer_id
        """,
    )
    engine.create_table(
        "health",
        "\nunion all\n".join(
            f"select date '{day:%Y-%m-%d}' as as_of_date, {text(measure)} as measure, part, value"
            f" from ({query}) as {measure}"
            for measure, query in measures.items()
        ),
    )
