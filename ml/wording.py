"""Words for what sets a group of customers apart, from the names of features."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Trait:
    """What a feature speaks of: the word for much of it and for little of it."""

    topic: str
    much: str
    little: str


# The first pattern that a feature's name matches gives its words; a name with none gets its own words.
VOCABULARY: tuple[tuple[str, Trait], ...] = (
    (r"unsubscribe", Trait("unsubscribing", "unsubscribes", "stays subscribed")),
    # Many days since something are little of it.
    (r"days_since_last.*(click|open|message|mail)", Trait("clicks", "hardly clicks", "clicks in messages")),
    (
        r"days_since_last.*(contact|call|ticket)",
        Trait("last contact", "no contact for long", "lately in contact"),
    ),
    (
        r"days_since_last.*(visit|session|page|view)",
        Trait("last visit", "not online for long", "lately online"),
    ),
    (r"_change(_|$)|trend|growth|momentum", Trait("trend", "growing", "declining")),
    (r"overdue", Trait("due", "overdue", "not due yet")),
    (r"unresolved", Trait("problems", "open problems", "problems solved")),
    (r"satisfaction", Trait("satisfaction", "satisfied", "dissatisfied")),
    (r"cancel", Trait("return", "returns often", "keeps what is bought")),
    (r"cart|basket_add", Trait("cart", "fills carts", "rarely fills carts")),
    (r"new_categor", Trait("new categories", "tries new things", "stays with the known")),
    (r"top_category_share", Trait("breadth", "narrow taste", "broad taste")),
    (r"consent", Trait("consent", "consents widely", "hardly consents")),
    (r"coupon|promo|discount|markdown|bargain", Trait("promotion", "promotion lovers", "full-price buyers")),
    (r"days_since.*(order|purchase|basket)|^recency|order.*recency", Trait("recency", "long away", "recent")),
    (
        r"(interval|gap|between|cadence|rhythm).*|days_per_order",
        Trait("rhythm", "long pauses", "steady rhythm"),
    ),
    (
        r"(average|avg|mean|median)_.*(order|basket|ticket)|basket_(value|size|amount)|_per_(order|basket)|order_value",
        Trait("basket", "big baskets", "small baskets"),
    ),
    (r"return|refund", Trait("return", "returns often", "keeps what is bought")),
    (
        r"call|interaction|contact|service|ticket|complain",
        Trait("service", "often in contact", "rarely in contact"),
    ),
    (r"click", Trait("clicks", "clicks in messages", "hardly clicks")),
    (r"(message|e_?mail|newsletter).*sent", Trait("mailings", "often written to", "rarely written to")),
    (r"message|e_?mail|newsletter|open", Trait("messages", "reads messages", "ignores messages")),
    (
        r"session|page|web|visit|view|digital|app_|screen|event",
        Trait("online", "active online", "rarely online"),
    ),
    (r"online", Trait("online orders", "orders online", "rarely orders online")),
    (r"store|branch|offline", Trait("store", "shops in stores", "rarely in stores")),
    (r"weekend", Trait("weekend", "weekend shoppers", "weekday shoppers")),
    (r"evening|night|late_hour", Trait("evening", "evening shoppers", "daytime shoppers")),
    (
        r"categor|breadth|variety|distinct_products|diversity|products",
        Trait("breadth", "broad taste", "narrow taste"),
    ),
    (r"spend|revenue|amount|monetary|sales|value", Trait("spend", "high spend", "low spend")),
    (r"orders|purchases|baskets|transactions|frequency", Trait("frequency", "frequent", "occasional")),
    (r"tenure|days_observed|since_first|age_days|first_", Trait("tenure", "long known", "new")),
    (r"household|kids|family", Trait("household", "larger households", "smaller households")),
    (r"days_since", Trait("quiet", "long quiet", "recently seen")),
)


AVERAGE = "Close to the average"
WINDOW = re.compile(r"_(?:in_)?(?:last_)?(\d+)_?d(?:ays)?$", re.IGNORECASE)


def trait_of(feature: str) -> Trait:
    """The words for a feature's name, for example `orders_90d` gives frequent and occasional."""
    for pattern, trait in VOCABULARY:
        if re.search(pattern, feature, re.IGNORECASE):
            return trait
    words = plain(WINDOW.sub("", feature))
    return Trait(words, f"high {words}", f"low {words}")


def plain(feature: str) -> str:
    """A feature's name as words: `orders_90d` is orders in 90 days."""
    words = WINDOW.sub(r" in \1 days", feature.removeprefix("attribute_"))
    return re.sub(r"\s+", " ", words.replace("_", " ")).strip()


def phrase(feature: str, difference: float) -> str:
    """The word for a group whose standardised difference from everybody is `difference`."""
    trait = trait_of(feature)
    return trait.much if difference > 0 else trait.little


def name_group(differences: dict[str, float], weakest: float = 0.3, words: int = 3) -> str:
    """A name of at most three phrases, one per topic, from the largest differences down."""
    phrases: dict[str, str] = {}
    for feature, difference in strongest_first(differences):
        topic = trait_of(feature).topic
        if abs(difference) >= weakest and topic not in phrases and len(phrases) < words:
            phrases[topic] = phrase(feature, difference)
    if not phrases:
        return AVERAGE
    name = ", ".join(phrases.values())
    return name[0].upper() + name[1:]


def name_holds(name: str, differences: dict[str, float], weakest: float = 0.15) -> bool:
    """Whether a name that was once given still says what is so, if less strongly than a new name would have to."""
    name = re.sub(r" \(\d+\)$", "", name)
    if name == AVERAGE:
        return all(abs(difference) < 0.45 for difference in differences.values())
    said = {
        phrase(feature, difference).lower()
        for feature, difference in differences.items()
        if abs(difference) >= weakest
    }
    return {part.lower() for part in name.split(", ")} <= said


def strongest_first(differences: dict[str, float]) -> list[tuple[str, float]]:
    """Features by the size of their difference, ties by name."""
    return sorted(differences.items(), key=lambda item: (-round(abs(item[1]), 9), item[0]))
