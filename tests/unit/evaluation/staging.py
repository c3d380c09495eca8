"""Made-up homes: numbers, zip codes and an answer that depends on them but for some noise."""

import numpy as np
import pandas as pd


def homes(rows: int, *, seed: int) -> pd.DataFrame:
    """Numbers `größe` and `age`, and a `zip` that begins with a zero in the north."""
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "größe": random.normal(100, 30, rows).round(1),
            "age": random.integers(0, 80, rows).astype(float),
            "zip": random.choice(["01234", "80331", "20095"], rows, p=[0.1, 0.5, 0.4]),
        }
    )


def with_sold(frame: pd.DataFrame) -> pd.DataFrame:
    """Add `sold`, "yes" or "no": what is large sells."""
    noise = np.random.default_rng(len(frame)).normal(0, 20, len(frame))
    return frame.assign(sold=np.where(frame["größe"] - frame["age"] / 2 + noise > 85, "yes", "no"))


def with_prices(frame: pd.DataFrame) -> pd.DataFrame:
    """Add `price`."""
    noise = np.random.default_rng(len(frame)).normal(0, 10, len(frame))
    return frame.assign(price=(frame["größe"] * 3 - frame["age"] + noise).round(2))


def loud(X: object) -> object:
    """A step of a pipeline that prints."""
    print("I am a model")  # noqa: T201
    return X


def leaving(X: object) -> object:
    """A step of a pipeline that ends the program."""
    raise SystemExit(0)
