"""Numbers, days and names as people read them."""

from __future__ import annotations

from datetime import date

SPACE = "\N{NO-BREAK SPACE}"


def count(value: float | None) -> str:
    """1234567 as 1,234,567."""
    return "" if value is None else f"{value:,.0f}"


def short(value: float | None) -> str:
    """1234567 as 1.23 M: for tiles, where the last digits would only be read."""
    if value is None:
        return ""
    for size, sign in ((1e9, "bn"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            divisor = 1e3 if sign == "k" else size
            return (
                f"{value / divisor:.3g}{SPACE}{sign}"
                if abs(value) < 100 * divisor
                else f"{value / divisor:,.0f}{SPACE}{sign}"
            )
    return f"{value:,.0f}"


def share(value: float | None, digits: int = 0) -> str:
    """0.123 as 12 %. What is there, though it rounds to nothing, is less than 1 %."""
    if value is None:
        return ""
    if 0 < value < 0.5 * 10 ** -(digits + 2):
        return f"<{SPACE}{10**-digits:g}{SPACE}%"
    return f"{100 * value:.{digits}f}{SPACE}%"


def times(value: float | None) -> str:
    """A ratio, with the digits that matter: 1.52, 12.3."""
    return "" if value is None else f"{value:.2f}" if value < 10 else f"{value:,.1f}"


def exact(value: float | None, digits: int = 3) -> str:
    """So many digits that matter."""
    return "" if value is None else f"{value:,.{digits}g}" if abs(value) < 10**digits else f"{value:,.0f}"


def seconds(value: float) -> str:
    """95 as 1 min 35 s."""
    minutes, rest = divmod(round(value), 60)
    return f"{minutes}{SPACE}min {rest}{SPACE}s" if minutes else f"{value:.1f}{SPACE}s"


def day_in_words(value: date) -> str:
    """1 December 2017."""
    return f"{value.day} {value:%B %Y}"


def words(name: str) -> str:
    """An id as words: at_risk as at risk."""
    return name.replace("_", " ")


def shorten(text: str, length: int) -> str:
    """The text, or its beginning and an ellipsis."""
    return text if len(text) <= length else text[: max(length - 1, 1)].rstrip() + "…"


def plural(number: int, one: str, many: str | None = None) -> str:
    """1 customer, 2 customers."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def listed(names: list[str], most: int = 6) -> str:
    """a, b and c; of many the first ones."""
    if len(names) > most:
        names = [*names[: most - 1], f"{len(names) - most + 1} more"]
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]])) if names else ""
