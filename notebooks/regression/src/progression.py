"""The table, and what may be learned from it. To use your own data, change `load` and `TARGET`: nothing else."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LassoCV, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

TARGET = "progression"
"""The column to predict: a number."""


def load() -> pd.DataFrame:
    """The table: one row a case, with the column `TARGET`.

    Here the diabetes data that scikit-learn brings along (442 rows, in the units in which they were measured). Of
    your own, for example: `return pd.read_parquet("data/cases.parquet")`; name that file in the inputs of the stage
    `prepare`.
    """
    from sklearn.datasets import load_diabetes

    bunch = load_diabetes(as_frame=True, scaled=False)
    return bunch.data.assign(sex=bunch.data["sex"].map({1.0: "a", 2.0: "b"}), **{TARGET: bunch.target})


def features(table: pd.DataFrame) -> pd.DataFrame:
    """The columns that a model may use."""
    return table.drop(columns=TARGET)


def prepared(*, scaled: bool):
    """Numbers and categories, gaps filled; *scaled* for models that measure distances."""
    numbers = [SimpleImputer(strategy="median"), *([StandardScaler()] if scaled else [])]
    return make_column_transformer(
        (make_pipeline(*numbers), make_column_selector(dtype_include="number")),
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), make_column_selector(dtype_exclude="number")),
    )


def candidates(seed: int) -> dict:
    """Models to compare, from none at all to the most flexible."""
    return {
        "no model": make_pipeline(prepared(scaled=False), DummyRegressor(strategy="mean")),
        "ridge": make_pipeline(prepared(scaled=True), RidgeCV(alphas=np.logspace(-2, 3, 20))),
        "lasso": make_pipeline(prepared(scaled=True), LassoCV(random_state=seed)),
        "random forest": make_pipeline(
            prepared(scaled=False), RandomForestRegressor(n_estimators=100, min_samples_leaf=5, random_state=seed)
        ),
        "boosting": make_pipeline(
            prepared(scaled=False),
            HistGradientBoostingRegressor(max_iter=100, learning_rate=0.05, min_samples_leaf=20, random_state=seed),
        ),
    }


def half_width(errors: np.ndarray, coverage: float) -> float:
    """Half of an interval around a prediction that holds the truth in *coverage* of new cases.

    *errors*: of predictions for cases that the model had not seen. Split conformal prediction (Vovk et al., 2005):
    the quantile is taken a little higher, for the one case that is still to come.
    """
    level = min(1.0, np.ceil((len(errors) + 1) * coverage) / len(errors))
    return float(np.quantile(np.abs(errors), level, method="higher"))
