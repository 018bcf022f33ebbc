"""What the problems share: draws, the gap to retraining, curves over runs, and errors over random cases."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from lfcore.core import seeds
from lfcore.core.errors import InputError
from lfcore.statistics.summary import interval

EDGES = np.linspace(-1, 1, 30)
"""The edges of the alignment bins, the released code's."""


def generator(seed: int, stage: str, purpose: str) -> np.random.Generator:
    """The generator of one draw."""
    return np.random.default_rng(seeds.number(seed, f"theory {stage}", purpose))


def squared_norm(point: np.ndarray) -> float:
    """||x||^2 of a deleted point (d,). InputError if it is zero."""
    square = float(point @ point)
    if square == 0:
        raise InputError("The deleted point is the zero vector, which has no direction: give another.")
    return square


def discrepancy(theta, retrained, queries) -> np.ndarray:
    """The left-hand side of Prop 3.2: <theta, x_q> - <theta_retrained, x_q>, (..., q)."""
    return (theta - retrained) @ queries.T


def bin_runs(samples: Iterable[tuple[np.ndarray, dict[str, np.ndarray]]], edges: np.ndarray = EDGES) -> pd.DataFrame:
    """Curves over bins, with 95 % Student intervals over independent runs: a run gives one number to a bin.

    samples: for each run the queries' alignments (q,) and, by the name of a curve, their values (q,).
    Returns columns curve, bin, alignment, mean, low, high, runs; a bin that no query fell into has no row.
    """
    rows = []
    for alignment, curves in samples:
        place = np.digitize(alignment, edges) - 1
        inside = (place >= 0) & (place < len(edges) - 1)
        count = np.bincount(place[inside], minlength=len(edges) - 1)
        for name, values in {"": alignment, **curves}.items():
            total = np.bincount(place[inside], weights=values[inside], minlength=len(edges) - 1)
            rows += [(name, bin, total[bin] / count[bin]) for bin in np.flatnonzero(count)]
    found = over_runs(rows, "bin")
    named = found["curve"] != ""
    return found[named].join(found[~named].set_index("bin")["mean"].rename("alignment"), on="bin")


def over_runs(rows: list[tuple], along: str) -> pd.DataFrame:
    """Mean and 95 % Student interval over runs: curve, `along`, mean, runs, low, high. rows: (curve, along, value)."""
    groups = pd.DataFrame(rows, columns=["curve", along, "value"]).groupby(["curve", along], sort=False)["value"]
    found = groups.agg(mean="mean", sd="std", runs="size").reset_index()
    found["low"], found["high"] = interval(found["mean"], found["sd"] / np.sqrt(found["runs"]), found["runs"] - 1)
    return found.drop(columns="sd")


class Errors:
    """The largest absolute error of each identity over the cases."""

    def __init__(self, cases: int):
        self.cases, self.rows = cases, {}

    def add(self, identity: str, source: str, error, kind: str = "identity") -> None:
        """An error, or an array of errors, of one case. kind: "identity", or "counterexample" for a large one."""
        known = self.rows.get(identity, (source, kind, 0.0, self.cases))
        self.rows[identity] = (source, kind, max(known[2], float(np.abs(error).max())), self.cases)

    def add_score(self, identity: str, score, draws: int) -> None:
        """A Monte Carlo mean less its expectation, in standard errors."""
        self.rows[f"{identity}, in standard errors"] = ("ours", "mean", float(np.abs(score).max()), draws)

    def table(self) -> pd.DataFrame:
        """A row for each identity: identity, source, kind, largest error, cases."""
        records = [(identity, *row) for identity, row in self.rows.items()]
        return pd.DataFrame(records, columns=["identity", "source", "kind", "largest error", "cases"])
