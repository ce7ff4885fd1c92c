"""The model that scores until a better one comes: how it is kept from day to day, and when it is replaced."""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import joblib
import sklearn

from include.lake import Lake, earlier_days, replacing
from ml.classifier import Classifier

# A champion of another format, or of another scikit-learn, is not loaded: whoever changes what is kept counts up.
FORMAT = 2


@dataclass(frozen=True)
class Champion:
    """A model in office. `judged` learned only on what was known before the cutoff it was judged on; `scoring` is the
    same algorithm learned on everything, which gives the scores. `columns` are the features that both read."""

    version: str
    crowned_on: date
    challenged_on: date
    judged: Classifier
    scoring: Classifier
    columns: tuple[str, ...]

    def is_due(self, day: date, retrain_days: int) -> bool:
        """Whether it is to be challenged on `day`."""
        return day - self.challenged_on >= timedelta(days=retrain_days)


def read_champion(lake: Lake, day: date, model: str) -> Champion | None:
    """The champion of the last day before `day` that has one; None when there is none that can be loaded."""
    earlier = earlier_days(_path(lake, day, model))
    return _load(earlier[-1]) if earlier else None


def write_champion(lake: Lake, day: date, model: str, champion: Champion | None) -> None:
    """Keep the champion of the day, or forget that of an earlier run of the day when there is none."""
    path = _path(lake, day, model)
    if champion is None:
        path.unlink(missing_ok=True)
        return
    content = io.BytesIO()
    joblib.dump(champion, content, compress=3)
    with replacing(path) as temporary:
        temporary.write_bytes(
            pickle.dumps({"format": FORMAT, "sklearn": sklearn.__version__, "champion": content.getvalue()})
        )


def _load(path: Path) -> Champion | None:
    kept = pickle.loads(path.read_bytes())
    if kept["format"] != FORMAT or kept["sklearn"] != sklearn.__version__:
        return None
    return joblib.load(io.BytesIO(kept["champion"]))


def _path(lake: Lake, day: date, model: str) -> Path:
    return lake.ml(day, f"champion_{model}").with_suffix(".joblib")
