"""Taste groups: the hidden cause that shows in store baskets, in web product views and in off-site reading."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Off-site content, named after tier 1 of the IAB Content Taxonomy 3.1 (CC BY 3.0); no sensitive topics.
# The number is how often a reader without particular interests opens such a page.
CONTENTS = {
    "Attractions": 2,
    "Automotive": 5,
    "Books and Literature": 3,
    "Business and Finance": 5,
    "Careers": 2,
    "Education": 3,
    "Entertainment": 11,
    "Events": 2,
    "Family and Relationships": 4,
    "Fine Art": 1,
    "Food & Drink": 6,
    "Healthy Living": 4,
    "Hobbies & Interests": 4,
    "Home & Garden": 5,
    "Personal Finance": 4,
    "Pets": 3,
    "Pop Culture": 8,
    "Real Estate": 2,
    "Science": 2,
    "Shopping": 6,
    "Sports": 9,
    "Style & Fashion": 5,
    "Technology & Computing": 7,
    "Travel": 5,
    "Video Gaming": 4,
}


@dataclass(frozen=True)
class Taste:
    """What a taste group buys (catalogue categories and departments) and reads (content to weight)."""

    name: str
    categories: tuple[str, ...]
    departments: tuple[str, ...]
    contents: dict[str, float]


TASTES = (
    Taste(
        "family",
        (
            "BABY FOODS",
            "BABYFOOD",
            "BABY HBC",
            "DIAPERS & DISPOSABLES",
            "INFANT FORMULA",
            "INFANT CARE PRODUCTS",
        ),
        (),
        {
            "Family and Relationships": 0.45,
            "Education": 0.15,
            "Healthy Living": 0.10,
            "Home & Garden": 0.10,
            "Shopping": 0.10,
            "Entertainment": 0.10,
        },
    ),
    Taste(
        "pets",
        ("DOG FOODS", "CAT FOOD", "CAT LITTER", "PET CARE SUPPLIES", "BIRD SEED"),
        (),
        {"Pets": 0.55, "Home & Garden": 0.15, "Hobbies & Interests": 0.15, "Shopping": 0.10, "Science": 0.05},
    ),
    Taste(
        "cooking",
        (
            "BEEF",
            "CHICKEN",
            "PORK",
            "SEAFOOD-FRESH",
            "SEAFOOD - FROZEN",
            "HERBS",
            "SPICES & EXTRACTS",
            "MUSHROOMS",
            "ONIONS",
            "PEPPERS-ALL",
            "TOMATOES",
            "VEGETABLES SALAD",
            "SALAD MIX",
            "SHORTENING/OIL",
            "PASTA SAUCE",
            "DRY NOODLES/PASTA",
        ),
        (),
        {
            "Food & Drink": 0.50,
            "Travel": 0.15,
            "Home & Garden": 0.15,
            "Books and Literature": 0.10,
            "Healthy Living": 0.10,
        },
    ),
    Taste(
        "convenience",
        (
            "SOFT DRINKS",
            "FROZEN PIZZA",
            "FRZN MEAT/MEAT DINNERS",
            "BAG SNACKS",
            "CANDY - CHECKLANE",
            "CANDY - PACKAGED",
            "ICE CREAM/MILK/SHERBTS",
        ),
        (),
        {
            "Video Gaming": 0.35,
            "Sports": 0.20,
            "Entertainment": 0.20,
            "Pop Culture": 0.15,
            "Technology & Computing": 0.10,
        },
    ),
    Taste(
        "celebration",
        ("BEERS/ALES", "DOMESTIC WINE", "IMPORTED WINE", "MISC WINE", "LIQUOR", "PARTY TRAYS"),
        (),
        {"Sports": 0.30, "Automotive": 0.25, "Events": 0.15, "Food & Drink": 0.15, "Attractions": 0.15},
    ),
    Taste(
        "wellness",
        ("VITAMINS", "DIETARY AID PRODUCTS", "YOGURT", "TROPICAL FRUIT", "NUTS", "VALUE ADDED FRUIT"),
        ("NUTRITION",),
        {"Healthy Living": 0.50, "Travel": 0.15, "Personal Finance": 0.15, "Sports": 0.10, "Science": 0.10},
    ),
    Taste(
        "beauty",
        ("HAIR CARE PRODUCTS", "HAND/BODY/FACIAL PRODUCTS", "SHAVING CARE PRODUCTS", "ORAL HYGIENE PRODUCTS"),
        ("COSMETICS",),
        {"Style & Fashion": 0.50, "Shopping": 0.20, "Pop Culture": 0.15, "Travel": 0.15},
    ),
    Taste(
        "home",
        (
            "HOUSEHOLD CLEANG NEEDS",
            "LAUNDRY DETERGENTS",
            "CANDLES/ACCESSORIES",
            "DOMESTIC GOODS",
            "KITCHEN GADGETS",
            "PLASTIC HOUSEWARES",
            "AIR CARE",
            "LAWN AND GARDEN SHOP",
        ),
        ("FLORAL", "GARDEN CENTER"),
        {"Home & Garden": 0.50, "Real Estate": 0.20, "Hobbies & Interests": 0.15, "Personal Finance": 0.15},
    ),
)
TASTE_NAMES = tuple(taste.name for taste in TASTES)

# How sharply a household's leaning turns into affinity, and which share of page views taste decides.
SHARPNESS = 1.5
TASTE_SHARE = 0.40
# The logit of the chance to respond to an offer of a taste group: a floor, and what affinity adds.
RESPONSE_FLOOR, RESPONSE_SLOPE = -4.6, 6.4


def leanings(shares: np.ndarray) -> np.ndarray:
    """Standardised shares of spend, (households, tastes): how far each household leans from the average."""
    spread = shares.std(axis=0)
    return (shares - shares.mean(axis=0)) / np.where(spread > 0, spread, 1.0)


def affinities(leaning: np.ndarray) -> np.ndarray:
    """Softmax of leanings, (people, tastes), rows sum to one. Extreme leanings are cut at five deviations."""
    weight = np.exp(SHARPNESS * np.clip(leaning, -3.0, 5.0))
    return weight / weight.sum(axis=1, keepdims=True)


def reading_habits(affinity: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The chance of each content category per page view, (people, contents), rows sum to one.

    Part of it is taste; the rest is the common habit bent by the person's own quirks, so that taste can be
    learnt from behaviour but never read off it.
    """
    names = list(CONTENTS)
    common = np.array(list(CONTENTS.values()), dtype=float)
    own = common * rng.lognormal(0.0, 0.7, (len(affinity), len(names)))
    own /= own.sum(axis=1, keepdims=True)
    by_taste = np.array([[taste.contents.get(name, 0.0) for name in names] for taste in TASTES])
    strength = TASTE_SHARE * rng.beta(4.0, 4.0, (len(affinity), 1)) * 2.0
    return (1.0 - strength) * own + strength * (affinity @ by_taste)


def would_respond(affinity: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Whether each person would respond to an offer of each taste group, boolean (people, tastes)."""
    chance = 1.0 / (1.0 + np.exp(-(RESPONSE_FLOOR + RESPONSE_SLOPE * affinity)))
    return rng.random(affinity.shape) < chance
