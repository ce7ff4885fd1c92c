"""What people decided, as evidence: a link is a value that its ends share, a barrier a unique type of its own."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from include.identity.engine import Engine, hashed, text
from include.identity.rules import (
    FIRST_BARRIER,
    LINK_NUMBER,
    MANUAL,
    MANUAL_BLOCK,
    MANUAL_LINK,
    IdentityRules,
    barriers_of,
    is_record,
)

logger = logging.getLogger(__name__)

END = {
    "rule": "varchar",
    "number": "integer",
    "side": "integer",
    "channel": "varchar",
    "record_id": "varchar",
    "id_type": "varchar",
    "id_value": "varchar",
}


def create_manual_evidence(engine: Engine, rules: IdentityRules) -> None:
    """Make from `landed` the views `manual_evidence`, edges like its own with their `type`, and
    `manual_cut(node, value)`, the edges of single records that do not count.

    An end that is an identifier stands for every node that carries it, whatever its case. Of an end that nothing
    carries the log warns: most likely it is misspelt.
    """
    ends = list(_ends(rules))
    # Without any end there is nothing to look for, and the evidence is not read once more.
    engine.create_table("manual_end", _table_of(ends))
    engine.create_table("manual_touch", _TOUCH if ends else f"{_TOUCH} limit 0")
    _warn_of_loose_ends(engine)
    engine.create_view(
        "manual_evidence",
        f"""
        select
            node_key,
            kind,
            channel,
            record_id,
            rule as id_type,
            rule || ' ' || number || case when rule = {text(MANUAL_BLOCK)} then ' of ' || side else '' end as id_value,
            landed_on,
            evident_at,
            first_seen_at,
            last_seen_at,
            observations,
            cast(
                case when rule = {text(MANUAL_LINK)} then {LINK_NUMBER} else {FIRST_BARRIER} + number end as smallint
            ) as type
        from manual_touch
        where rule <> {text(MANUAL)}
        """,
    )
    engine.create_view(
        "manual_cut",
        f"""
        select distinct
            {hashed("owner.node_key")} as node,
            {hashed("refused.id_type || ':' || refused.touched_value")} as value
        from manual_touch as owner
        inner join manual_touch as refused
            on owner.number = refused.number and owner.node_key = refused.node_key
        where
            owner.rule = {text(MANUAL)}
            and owner.side = 0
            and refused.rule = {text(MANUAL)}
            and refused.side = 1
        """,
    )


_TOUCH = """
    select
        manual_end.rule,
        manual_end.number,
        manual_end.side,
        manual_end.id_type,
        landed.node_key,
        case when manual_end.id_type is not null then landed.id_value end as touched_value,
        min(landed.kind) as kind,
        min(landed.channel) as channel,
        min(landed.record_id) as record_id,
        min(landed.landed_on) as landed_on,
        min(landed.evident_at) as evident_at,
        min(landed.first_seen_at) as first_seen_at,
        max(landed.last_seen_at) as last_seen_at,
        max(landed.observations) as observations
    from landed
    inner join manual_end
        on
            case
                when manual_end.id_type is null
                    then
                        landed.kind = 'customers'
                        and landed.channel = manual_end.channel
                        and landed.record_id = manual_end.record_id
                else landed.id_type = manual_end.id_type and lower(trim(landed.id_value)) = manual_end.id_value
            end
    group by
        manual_end.rule,
        manual_end.number,
        manual_end.side,
        manual_end.id_type,
        landed.node_key,
        case when manual_end.id_type is not null then landed.id_value end
"""


def _ends(rules: IdentityRules) -> Iterator[tuple]:
    barriers = barriers_of(rules)
    pairs = [(MANUAL_LINK, number, link.between) for number, link in enumerate(rules.manual.links)]
    for number, block in enumerate(rules.manual.blocks):
        if block.between:
            pairs.append((MANUAL_BLOCK if number in barriers else MANUAL, number, block.between))
    for rule, number, between in pairs:
        for side, end in enumerate(between):
            kind, _, rest = end.partition(":")
            channel, _, record_id = rest.partition(":")
            if is_record(end):
                yield rule, number, side, channel, record_id, None, None
            else:
                yield rule, number, side, None, None, kind, rest.strip().lower()


def _table_of(ends: list[tuple]) -> str:
    def literal(value: str | int | None, kind: str) -> str:
        shown = "null" if value is None else text(value) if isinstance(value, str) else str(value)
        return f"cast({shown} as {kind})"

    rows = [
        ", ".join(
            f"{literal(value, kind)} as {column}"
            for value, (column, kind) in zip(end, END.items(), strict=True)
        )
        for end in ends or [(None,) * len(END)]
    ]
    return "\nunion all\n".join(f"select {row}" for row in rows) + ("" if ends else " where 1 = 0")


def _warn_of_loose_ends(engine: Engine) -> None:
    for rule, number, end in engine.rows(
        """
        select
            manual_end.rule,
            manual_end.number,
            coalesce(manual_end.channel || ':' || manual_end.record_id, manual_end.id_type) as named
        from manual_end
        left join manual_touch
            on
                manual_end.rule = manual_touch.rule
                and manual_end.number = manual_touch.number
                and manual_end.side = manual_touch.side
        where manual_touch.node_key is null
        order by manual_end.rule, manual_end.number, manual_end.side
        """
    ):
        where = "links" if rule == MANUAL_LINK else "blocks"
        logger.warning("identity.yml manual.%s[%d]: no record carries this end (%s)", where, number, end)
