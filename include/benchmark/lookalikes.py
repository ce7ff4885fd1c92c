"""Scoring a million visitors by a look-alike, against the bare model and against scikit-learn as one would use it."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from scipy import sparse
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, MaxAbsScaler

from include.benchmark.harness import Ratio, Topic, Variant
from ml import pu
from ml.likeness import Learned, folds_of
from ml.lookalike import Learnt, score_visitors
from ml.threads import single_threaded
from ml.visitor_encoding import learn_encoding
from ml.visitors import index_visitors, read_observations

FEATURES, PER_VISITOR, LEARNERS = 200, 20, 6_000
VISITORS_PER_PART = 50_000
AT_MOST = 2.0
SCORES = "scores.npy"


def prepare(folder: Path, visitors: int) -> None:
    """Write the features of so many visitors, those of a quarter of them, the matrix, and models learned of some."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_features(folder / "features.parquet", visitors)
    _write_features(folder / "quarter.parquet", visitors // 4)
    with single_threaded():
        found = index_visitors(folder / "features.parquet")
        assert found is not None
        rows = np.arange(min(LEARNERS, len(found)))
        observations = read_observations(found, rows)
        encoding = learn_encoding(observations)
        matrix = encoding.encode(observations)
        is_seed = (matrix[:, [0]].toarray().ravel() > 0) & (np.arange(len(rows)) % 3 == 0)
        scorer = pu.Learner(encoding.families, 7).fit("blend of logistics and boosting", matrix, is_seed)
        for name, pipeline in _plain_pipelines().items():
            joblib.dump((encoding.columns, pipeline.fit(matrix, is_seed)), folder / f"{name}.joblib")
    joblib.dump((encoding, scorer), folder / "model.joblib")
    sparse.save_npz(
        folder / "matrix.npz", encoding.encode(read_observations(found, np.arange(len(found)))), False
    )


def _score(features: str, inputs: Path, output: Path) -> int:
    """What expand does with every visitor: read the hand-over in parts, encode, score by the scorer of the fold."""
    encoding, scorer = joblib.load(inputs / "model.joblib")
    visitors = index_visitors(inputs / features)
    assert visitors is not None
    learnt = Learnt(
        {"all": Learned("blend", dict.fromkeys(range(pu.FOLDS), scorer))}, encoding, visitors.path
    )
    with single_threaded():
        folds = folds_of(visitors.people)
        scores = [
            scores for (scores,) in score_visitors(learnt, visitors.starts, folds, range(len(visitors)))
        ]
    return _write(np.concatenate(scores), output)


def _predict(inputs: Path, output: Path) -> int:
    """The same model's own prediction of the same rows, which lie in memory as it wants them."""
    _, scorer = joblib.load(inputs / "model.joblib")
    matrix = sparse.csr_array(sparse.load_npz(inputs / "matrix.npz"))
    with single_threaded():
        scores = [
            scorer.score(matrix[begin : begin + VISITORS_PER_PART])
            for begin in range(0, matrix.shape[0], VISITORS_PER_PART)
        ]
    return _write(np.concatenate(scores), output)


def _plain_pipelines() -> dict[str, Pipeline]:
    """What one writes with scikit-learn: counts scaled for a logistic regression, or as they are for boosted trees."""
    return {
        "logistic": make_pipeline(MaxAbsScaler(), LogisticRegression(max_iter=1000)),
        "boosting": make_pipeline(
            FunctionTransformer(sparse.csr_array.toarray, accept_sparse=True),
            HistGradientBoostingClassifier(random_state=7),
        ),
    }


def _predict_plainly(name: str, inputs: Path, output: Path) -> int:
    """The hand-over read with pandas as categories, which are the rows and columns of a matrix, and `predict_proba`."""
    columns, pipeline = joblib.load(inputs / f"{name}.joblib")
    cells = pd.read_parquet(inputs / "features.parquet", read_dictionary=["visitor_id", "feature"])
    cells["feature"] = cells["feature"].cat.set_categories(columns)
    cells = cells.dropna(subset="feature")
    visitors = cells["visitor_id"].cat
    shape = (len(visitors.categories), len(columns))
    matrix = sparse.csr_array((cells["value"], (visitors.codes, cells["feature"].cat.codes)), shape=shape)
    with single_threaded():
        scores = [
            pipeline.predict_proba(matrix[begin : begin + VISITORS_PER_PART])[:, 1]
            for begin in range(0, matrix.shape[0], VISITORS_PER_PART)
        ]
    return _write(np.concatenate(scores), output, f"{name}.npy")


def _digest(output: Path) -> str:
    """Of the scores of Tandem's model, to the last bit; a plain pipeline has its own."""
    scores = output / SCORES
    return hashlib.sha256(scores.read_bytes()).hexdigest() if scores.exists() else ""


def _start(inputs: Path, output: Path) -> int:
    """What both need before the first visitor: a process, its imports and the model."""
    joblib.load(inputs / "model.joblib")
    return 0


def _write(scores: np.ndarray, output: Path, name: str = SCORES) -> int:
    output.mkdir(parents=True, exist_ok=True)
    np.save(output / name, scores)
    return int(np.isfinite(scores).sum())


def _write_features(path: Path, visitors: int) -> None:
    """Visitors with 20 of 200 features each, in the order of their ids, as dbt hands them over."""
    names = pa.array([f"category:{number:03d}" for number in range(FEATURES)])
    schema = pa.schema([("visitor_id", pa.string()), ("feature", pa.string()), ("value", pa.float64())])
    with pq.ParquetWriter(path, schema, compression="zstd") as file:
        for begin in range(0, visitors, VISITORS_PER_PART):
            generator = np.random.default_rng([7, begin])
            size = min(VISITORS_PER_PART, visitors - begin)
            ids = pa.array([f"{number:064x}" for number in range(begin, begin + size)])
            picked = np.sort(
                np.argpartition(generator.random((size, FEATURES), np.float32), PER_VISITOR, axis=1)[
                    :, :PER_VISITOR
                ],
                axis=1,
            )
            owners = pa.array(np.repeat(np.arange(size), PER_VISITOR))
            counts = pa.array(generator.geometric(0.4, size * PER_VISITOR).astype(float))
            columns = [ids.take(owners), names.take(pa.array(picked.ravel())), counts]
            file.write_table(pa.table(columns, schema=schema), row_group_size=122_880)


TOPIC = Topic(
    name="lookalikes",
    title="Scoring visitors by a look-alike",
    text=f"Every visitor has {PER_VISITOR} of {FEATURES} features. The task reads the hand-over in parts, encodes and"
    " scores; the bare model predicts the same rows, whose matrix somebody else has built and laid on disk as it wants"
    " it. Both load the model, a blend of two logistic regressions and boosted trees, and write the same scores."
    " Without Tandem one would take a scikit-learn pipeline with one model: two of them, learned of the same visitors,"
    " read the same hand-over with pandas and write scores of their own. What it takes to start and to load a model is"
    " counted of none.",
    sizes={"small": 100_000, "medium": 1_000_000, "large": 4_000_000},
    prepare=prepare,
    digest=_digest,
    variants=(
        Variant(
            "lookalikes",
            "all visitors through the task",
            lambda inputs, output: _score("features.parquet", inputs, output),
            rows="visitors",
        ),
        Variant("bare_model", "Tandem's model alone, its matrix ready", _predict, rows="visitors"),
        Variant(
            "logistic",
            "pandas and scikit-learn's logistic regression",
            partial(_predict_plainly, "logistic"),
            rows="visitors",
        ),
        Variant(
            "boosting",
            "pandas and scikit-learn's boosted trees",
            partial(_predict_plainly, "boosting"),
            rows="visitors",
        ),
        Variant(
            "lookalikes_quarter",
            "a quarter of the visitors through the task",
            lambda inputs, output: _score("quarter.parquet", inputs, output),
            rows="a quarter",
        ),
        Variant("start", "starting and loading the model", _start, rows="none"),
    ),
    ratios=(
        Ratio("the task over the bare model", "lookalikes", "bare_model", at_most=AT_MOST, beyond="start"),
        Ratio("the task over a plain logistic regression", "lookalikes", "logistic", beyond="start"),
        Ratio("the task over plain boosted trees", "lookalikes", "boosting", beyond="start"),
        Ratio("four times the visitors", "lookalikes", "lookalikes_quarter", at_most=4.4, beyond="start"),
    ),
)
