"""Made-up Segment events as JSON lines, the same for the same number of lines, written as analytics.js writes them."""

from __future__ import annotations

from pathlib import Path

import duckdb

BAD_SHARE = 0.002
MOMENT = "strftime({moment}, '%Y-%m-%dT%H:%M:%S.%g') || 'Z'"
PAGES = ("Home", "Category", "Product", "Basket", "Check-out", "Order confirmed", "Account", "Search", "Recipe",
         "Help")  # fmt: skip
PRODUCTS = ("Green tea 100 g", "Oat drink", "Café crème, whole beans", "Rye bread", "Olive oil 0.5 l", "Müsli",
            r"Ginger \"extra\"", "Dark chocolate 70 %", "Apples 1 kg", "Yoghurt", "Rice")  # fmt: skip
AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)",
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Mobile Safari/537.36",
)
NAMES = ("Product Viewed", "Product Added", "Products Searched", "Order Completed")
# Each is one kind of damage that real deliveries have.
DAMAGES = (
    "substr(line, 1, length(line) // 2)",
    "'Traceback (most recent call last): ' || number",
    """replace(line, '"messageId":', '"messageId":1,"messageId":')""",
    """replace(line, '"type":"', '"type":"un')""",
    """replace(line, '":"2026-', '":"soon 2026-')""",
    "line || line",
)


def write_events(path: Path, lines: int, bad_share: float = 0.0) -> None:
    """Write `lines` events to `path`; the given share of them, evenly spread, is damaged."""
    every = round(1 / bad_share) if bad_share else 0
    damaged = ""
    if every:
        cases = " ".join(f"when {kind} then {damage}" for kind, damage in enumerate(DAMAGES))
        damaged = f"""case
            when number % {every} <> {every // 2} then line
            else case number // {every} % {len(DAMAGES)} {cases} end
        end as"""
    with duckdb.connect(":memory:") as connection:
        connection.execute(
            f"""copy (
                select {damaged} line
                from ({_lines(lines)})
            ) to '{path}' (format csv, header false, delimiter e'\\x01', quote '', escape '')"""
        )


def _lines(lines: int) -> str:
    """One row per event: `number, line`. Everything about an event hangs on the hash of its number."""
    occurred, received = (
        MOMENT.format(moment=moment)
        for moment in ("moment", "moment + to_milliseconds(100 + draw // 7 % 900)")
    )
    return f"""
        select
            number,
            '{{"anonymousId":"' || substr(md5((visitor)::varchar), 1, 8) || '-5d1f-4c7b-9e2a-'
                || substr(md5(visitor::varchar), 9, 12) || '","channel":"client","context":{{'
                || '"ip":"192.0.2.' || visitor % 256 || '","library":{{"name":"analytics.js","version":"next-1.7'
                || visitor % 10 || '.0"}},"locale":"' || {_one_of(("en-GB", "de-DE", "fr-FR"), "visitor")}
                || '","page":{{"path":"' || path || '","referrer":"' || referrer
                || '","title":"' || page || ' · Shop","url":"https://shop.example.com' || path
                || '"}},"userAgent":"' || {_one_of(AGENTS, "visitor // 3")} || '"'
                || case when draw % 10 = 0 then ',"campaign":{{"source":"newsletter","medium":"email","name":"week '
                    || draw % 52 || '"}}' else '' end
                || case when visitor % 6 = 0 then ',"consent":{{"categoryPreferences":{{"Advertising":'
                    || (visitor % 4 = 0) || ',"Analytics":true}}}}' else '' end
                || '}}'
                || case kind
                    when 'page' then ',"name":"' || page || '"'
                    when 'screen' then ',"name":"' || page || '"'
                    when 'track' then ',"event":"'
                        || {_one_of(NAMES, "draw // 11")} || '"'
                    else '' end
                || ',"integrations":{{}},"messageId":"ajs-next-' || md5(number::varchar)
                || '","originalTimestamp":"' || {occurred}
                || case kind
                    when 'identify' then '","traits":{{"email":"person' || visitor || '@example.com","firstName":"Ann",'
                        || '"plan":"' || {_one_of(("free", "plus"), "visitor")} || '","logins":' || draw % 90 || '}}'
                    else '","properties":{{"path":"' || path || '","price":' || draw % 5000 / 100
                        || ',"currency":"EUR","quantity":' || 1 + draw % 4 || ',"product":{{"sku":"P-' || draw % 997
                        || '","name":"' || {_one_of(PRODUCTS, "draw // 13")} || '"}},"tags":["shop","'
                        || lower(page) || '"]}}' end
                || ',"receivedAt":"' || {received} || '","sentAt":"' || {occurred} || '","timestamp":"' || {occurred}
                || '","type":"' || kind || '"'
                || case when visitor % 3 = 0 then ',"userId":"u' || visitor || '"' else ',"userId":null' end
                || ',"version":2,"writeKey":"w' || visitor % 3 || '"}}' as line
        from (
            select
                *,
                timestamp '2026-09-01' + to_milliseconds(number * 250 + draw % 200) as moment,
                '/' || lower(page) || '/' || draw % 1009 as path,
                case when draw % 3 = 0 then 'https://www.example.org/search' else '' end as referrer
            from (
                select
                    *,
                    {_one_of(PAGES, "draw // 3")} as page,
                    case
                        when draw % 100 < 4 then 'identify'
                        when draw % 100 < 50 then 'page'
                        when draw % 100 < 95 then 'track'
                        else 'screen'
                    end as kind
                from (
                    select
                        range as number,
                        (hash(range) >> 20)::bigint as draw,
                        (hash(range // 8 + range % 8) >> 20)::bigint % {max(lines // 12, 10)} as visitor
                    from range({lines})
                )
            )
        )
    """


def _one_of(words: tuple[str, ...], number: str) -> str:
    listed = ", ".join("'" + word + "'" for word in words)
    return f"[{listed}][1 + ({number}) % {len(words)}]"
