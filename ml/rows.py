"""Rows of features that several models learn from: what one of them has made of a column, the others need not make."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
import pandas as pd


class Rows:
    """The rows of a frame, and what was made of its columns, which must not change.

    `base` are the same rows with columns that other models have in common; a column of the frame goes before one of
    its. A part of the rows, `whole` from `begin` to `end`, takes what is made row by row from the whole.
    """

    def __init__(
        self,
        frame: pd.DataFrame,
        base: Rows | None = None,
        whole: Rows | None = None,
        begin: int = 0,
        end: int = 0,
    ) -> None:
        self.frame, self.base = frame, base
        self._whole, self._span = whole, slice(begin, end)
        self._made: dict[Hashable, Any] = {}

    @staticmethod
    def of(rows: pd.DataFrame | Rows) -> Rows:
        """The rows themselves, or those of a frame."""
        return rows if isinstance(rows, Rows) else Rows(rows)

    @property
    def columns(self) -> list[str]:
        own = list(self.frame.columns)
        return own + [name for name in (self.base.columns if self.base else []) if name not in self.frame]

    @property
    def empty(self) -> bool:
        return not len(self)

    def __len__(self) -> int:
        return len(self.base) if self.base else len(self.frame)

    def __contains__(self, name: str) -> bool:
        return name in self.frame or (self.base is not None and name in self.base)

    def __getitem__(self, name: str) -> pd.Series:
        return self.frame[name] if name in self.frame or self.base is None else self.base[name]

    def part(self, begin: int, end: int) -> Rows:
        """The rows from `begin` to `end`, which share what is made of the whole."""
        return self._remember(
            ("part", begin, end),
            lambda: Rows(
                self.frame.iloc[begin:end].reset_index(drop=True),
                self.base.part(begin, end) if self.base else None,
                self,
                begin,
                end,
            ),
        )

    def once(self, name: str, key: Hashable, make: Callable[[pd.Series], Any]) -> Any:
        """What `make` makes of a column, made when it is first asked for by this key."""
        if self.base is not None and name not in self.frame:
            return self.base.once(name, key, make)
        return self._remember((name, key), lambda: make(self.frame[name]))

    def row_by_row(self, name: str, key: Hashable, make: Callable[[pd.Series], np.ndarray]) -> np.ndarray:
        """The same for an array (n,) of which each value is made of one row's value alone."""
        if self.base is not None and name not in self.frame:
            return self.base.row_by_row(name, key, make)
        if self._whole is not None:
            return self._whole.row_by_row(name, key, make)[self._span]
        return self.once(name, key, make)

    def latest(self, key: Hashable, make: Callable[[Rows], np.ndarray]) -> np.ndarray:
        """An array (n, columns) that is made row by row; only the one that was asked for last is kept."""
        if self._whole is not None:
            return self._whole.latest(key, make)[self._span]
        if self._made.get("latest", (None, None))[0] is not key:
            self._made["latest"] = key, make(self)
        return self._made["latest"][1]

    def _remember(self, key: Hashable, make: Callable[[], Any]) -> Any:
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]
