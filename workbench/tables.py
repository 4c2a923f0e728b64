"""Result rows -> the tables of the documents, between `<!-- results: EXPERIMENT -->` and `<!-- end -->`."""

import math
import re
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Float
from scipy.special import stdtrit

from mixvae.settings import nearest
from workbench.experiments import EXPERIMENTS
from workbench.rows import RESULTS
from workbench.sweep import results

HEADER = re.compile(r"<!-- results: (\w+) -->[ \t]*\n")
BLOCK = re.compile(rf"({HEADER.pattern})(?:(?!<!-- results:).)*?(<!-- end -->)", re.DOTALL)
HIGHER_IS_WORSE = ("nats", "mse", "kl_z", "ence", "share_low", "share_high", "seconds")
DIGITS = {"active_channels": 1, "effective_channels": 2, "nats": 1, "cross_decoding": 1, "kl_z": 2, "seconds": 0}
MISSING = " "


def filled(document: str, folder: Path = RESULTS) -> str:
    """The document with every table made anew from the rows.

    Raises ValueError where a table is of no experiment, or has no end.
    """
    for header in HEADER.finditer(document):
        if header[1] not in EXPERIMENTS:
            raise ValueError(nearest(f"the experiment {header[1]!r} of a table", header[1], EXPERIMENTS))
        if not BLOCK.match(document, header.start()):
            raise ValueError(f"the table of {header[1]} has no end; close it with <!-- end -->")
    return BLOCK.sub(lambda block: block[1] + table(block[2], results(block[2], folder=folder)) + block[3], document)


def table(experiment: str, rows: pl.DataFrame) -> str:
    """Markdown: an arm a row; a figure is its mean, +- its standard deviation over the seeds, and the worst seed.

    A figure without rows stays empty, and the command that fills it stands below.
    """
    plan = EXPERIMENTS[experiment]
    head = ["", "seeds", *(figure.replace("_", " ") for figure in plan.figures)]
    lines = [head, ["---"] * len(head)]
    short = False
    for arm in plan.arms:
        mine = rows.filter(pl.col("arm") == arm) if not rows.is_empty() else rows
        done = set(range(plan.seeds)) & set([] if mine.is_empty() else mine["seed"])
        short |= len(done) < plan.seeds
        seeds = f"{len(done)} of {plan.seeds}" + f", {len(mine) - len(done)} more" * (len(mine) > len(done))
        lines.append([arm, seeds, *(cell(mine, figure) for figure in plan.figures)])
    text = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    legend = "\nMean ± standard deviation over seeds (worst seed)."
    command = f" `python -m workbench sweep {experiment}` fills the seeds that are missing." if short else ""
    return f"{text}{legend}{command}\n"


def cell(rows: pl.DataFrame, figure: str) -> str:
    """mean ± deviation (worst) of one figure, or empty; of how many runs, where others have no such figure."""
    values = rows[figure].drop_nulls() if figure in rows.columns else pl.Series([], dtype=pl.Float64)
    if values.is_empty():
        return MISSING
    digits = DIGITS.get(figure, 4)
    told = f", of {len(values)}" if len(values) < len(rows) else ""
    if len(values) == 1:
        return f"{values[0]:.{digits}f}{told}"
    worst = round(max(values, key=lambda value: badness(figure, value)), digits) + 0.0  # no -0.0
    return f"{values.mean():.{digits}f} ± {values.std():.{digits}f} ({worst:.{digits}f}){told}"


def badness(figure: str, value: float) -> float:
    """Higher for the worse of two values of a figure; a mean z^2 is best at 1."""
    if figure == "mean_z2":
        return abs(value - 1)
    return value if figure in HIGHER_IS_WORSE else -value


def compared(rows: pl.DataFrame, figure: str, arm: str, other: str) -> tuple[float, float, int]:
    """The mean difference `arm` - `other` of a figure over the seeds that both have, half of its 95 % interval, and n.

    Student's t over the paired differences; nan where there are fewer than two seeds.
    """
    pairs = paired(rows, figure, arm, other)
    difference, n = (pairs[:, 0] - pairs[:, 1]), len(pairs)
    half = stdtrit(n - 1, 0.975) * difference.std(ddof=1) / math.sqrt(n) if n > 1 else math.nan
    return float(difference.mean()) if n else math.nan, float(half), n


def paired(rows: pl.DataFrame, figure: str, arm: str, other: str) -> Float[np.ndarray, "n 2"]:
    """A figure of `arm` and of `other`, seed by seed, for the seeds that both have."""
    wanted = pl.col("arm").is_in([arm, other])
    pairs = rows.filter(wanted).pivot("arm", index="seed", values=figure).drop_nulls() if not rows.is_empty() else rows
    return pairs.select(arm, other).to_numpy() if {arm, other} <= set(pairs.columns) else np.zeros((0, 2))


def verdict(rows: pl.DataFrame, figure: str, arm: str, other: str) -> str:
    """In words: which of two arms has more of a figure, by how much, and whether the seeds bear it out."""
    mean, half, n = compared(rows, figure, arm, other)
    name = figure.replace("_", " ")
    if n < 2:
        return f"{name}: {arm} and {other} have {n} of the 2 seeds or more that an answer takes."
    more = "more" if mean > 0 else "less"
    interval = f"{mean:+.4f} ± {half:.4f} (95 %, {n} seeds)"
    if abs(mean) <= half:
        return f"{name}: {arm} less {other} is {interval}; the seeds bear no difference out."
    return f"{name}: {arm} has {more} than {other}, {interval}."


def better(rows: pl.DataFrame, figure: str, arm: str, other: str, percent: float = 5.0) -> str:
    """In words: whether `arm` is at least `percent` better than `other`, seed by seed: yes, no, or undecided.

    It is decided where the whole 95 % interval of the mean difference lies on one side, in per cent of `other`'s mean
    over the same seeds.
    """
    mean, half, n = compared(rows, figure, arm, other)
    name = figure.replace("_", " ")
    if n < 2:
        return f"{name}: {arm} and {other} have {n} of the 2 seeds or more that an answer takes"
    whole = abs(paired(rows, figure, arm, other)[:, 1].mean()) / 100
    if not whole:
        return f"{name}: {other} has a mean of 0, of which nothing is a share; {arm} has {mean:+.4f} ± {half:.4f} more"
    sign = -1 if figure in HIGHER_IS_WORSE else 1
    gain, half = sign * mean / whole, half / whole
    said = "yes" if gain - half >= percent else "no" if gain + half < percent else "undecided"
    return f"{name}: **{said}**, {arm} is {gain:+.1f} % ± {half:.1f} % better than {other} (95 %, {n} seeds)"
