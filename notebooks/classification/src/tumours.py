"""The table, and what may be learned from it. To use your own data, change `load` and `TARGET`: nothing else."""

from __future__ import annotations

import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

TARGET = "malignant"
"""The column to predict: true or false."""


def load() -> pd.DataFrame:
    """The table: one row a case, with the column `TARGET`.

    Here the Wisconsin breast cancer data that scikit-learn brings along (569 rows). Of your own, for example:
    `return pd.read_parquet("data/cases.parquet")`; name that file in the inputs of the stage `prepare`.
    """
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer(as_frame=True)
    table = bunch.data.rename(columns=lambda name: name.replace(" ", "_"))
    return table.assign(**{TARGET: bunch.target == 0})  # 0 stands for malignant there


def features(table: pd.DataFrame) -> pd.DataFrame:
    """The columns that a model may use."""
    return table.drop(columns=TARGET)


def prepared(*, scaled: bool):
    """Numbers and categories, gaps filled; *scaled* for models that measure distances."""
    numbers = [SimpleImputer(strategy="median"), *([StandardScaler()] if scaled else [])]
    return make_column_transformer(
        (make_pipeline(*numbers), make_column_selector(dtype_include="number")),
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
    )


def candidates(seed: int) -> dict:
    """Models to compare, from none at all to the most flexible."""
    return {
        "no model": make_pipeline(prepared(scaled=False), DummyClassifier(strategy="prior")),
        "logistic regression": make_pipeline(prepared(scaled=True), LogisticRegression(max_iter=1000)),
        "random forest": make_pipeline(
            prepared(scaled=False), RandomForestClassifier(n_estimators=100, min_samples_leaf=2, random_state=seed)
        ),
        "boosting": make_pipeline(
            prepared(scaled=False), HistGradientBoostingClassifier(max_iter=100, random_state=seed)
        ),
    }
