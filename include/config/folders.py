"""Folders of traits: a folder is held by whoever holds a trait in it or below it."""

from __future__ import annotations

from include.config.schema import Configuration


def folders_of_traits(configuration: Configuration) -> dict[str, tuple[str, ...]]:
    """The folders that each trait counts for, its own and those above it, by the name of the trait.

    A trait that another party delivers under the name of a folder is in that folder.
    """
    placed = [(rule.trait_id, rule.folder) for rule in configuration.traits if rule.folder]
    placed += [
        (trait_id, folder) for folder, traits in configuration.trait_folders.items() for trait_id in traits
    ]
    placed += [(folder, folder) for folder in {above for _, path in placed for above in _with_above(path)}]
    folders: dict[str, set[str]] = {}
    for trait_id, path in placed:
        folders.setdefault(trait_id, set()).update(_with_above(path))
    return {trait_id: tuple(sorted(folders[trait_id])) for trait_id in sorted(folders)}


def _with_above(path: str) -> list[str]:
    steps = path.split("/")
    return ["/".join(steps[:depth]) for depth in range(1, len(steps) + 1)]
