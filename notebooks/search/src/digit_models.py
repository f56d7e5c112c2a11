"""The table, the space of models that is searched, and one trial: what a worker does.

To use your own data, change `load` and `TARGET`; to search elsewhere, change `SPACE`.
"""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
from scipy.stats import loguniform, randint
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import ParameterSampler, StratifiedKFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

TARGET = "digit"
"""The column to predict: a class."""


def load() -> pd.DataFrame:
    """The table: one row a case, with the column `TARGET`.

    Here the handwritten digits that scikit-learn brings along (1,797 images of 8 × 8 points). Of your own, for
    example: `return pd.read_parquet("data/cases.parquet")`; name that file in the inputs of the stage `search`.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits(as_frame=True)
    return bunch.data.assign(**{TARGET: bunch.target})


SPACE: dict[str, tuple[type[BaseEstimator], dict]] = {
    "logistic regression": (LogisticRegression, {"C": loguniform(1e-3, 1e2), "max_iter": [300]}),
    "support vectors": (SVC, {"C": loguniform(1e-1, 1e3), "gamma": loguniform(1e-4, 1e-1), "probability": [False]}),
    "random forest": (
        RandomForestClassifier,
        {"n_estimators": [100], "max_features": ["sqrt", 0.2, 0.5], "min_samples_leaf": randint(1, 8)},
    ),
    "boosting": (
        HistGradientBoostingClassifier,
        {"max_iter": [40], "learning_rate": loguniform(0.02, 0.4), "max_leaf_nodes": randint(6, 24)},
    ),
}
"""Kinds of models, and from where their settings are drawn."""


def draw(number: int, seed: int) -> list[dict]:
    """*number* candidates, of each kind about as many: {"kind", "settings"}."""
    kinds = list(SPACE)
    drawn = []
    for position, kind in enumerate(kinds):
        count = len(range(position, number, len(kinds)))
        for settings in ParameterSampler(SPACE[kind][1], count, random_state=seed + position) if count else ():
            plain = {key: value.item() if isinstance(value, np.generic) else value for key, value in settings.items()}
            drawn.append({"kind": kind, "settings": plain})
    return drawn


def build(candidate: dict, seed: int) -> BaseEstimator:
    """The model of a candidate, not fitted."""
    make = SPACE[candidate["kind"]][0]
    return make_pipeline(StandardScaler(), make(**candidate["settings"], random_state=seed))


def trial(candidate: dict, table: pd.DataFrame, folds: int, seed: int) -> dict:
    """Score one candidate by cross-validation. Runs on a worker as it runs anywhere."""
    started = time.perf_counter()
    splits = StratifiedKFold(folds, shuffle=True, random_state=seed)
    with threadpool_limits(1):  # many trials at once are the parallelism; threads would only get in the way
        found = cross_validate(build(candidate, seed), table.drop(columns=TARGET), table[TARGET], cv=splits)
    return {
        **candidate,
        "accuracy": float(found["test_score"].mean()),
        "accuracy_sd": float(found["test_score"].std()),
        "seconds": time.perf_counter() - started,
    }
