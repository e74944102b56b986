"""Mean curves of normalised hypervolume, one picture a problem."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
import numpy as np
from search_records import Results

mpl.use("agg")

from matplotlib import pyplot as plt


def plot(found: Results, folder: Path, *, trials: int) -> Iterator[Path]:
    """Draw them into `folder`; the paths written. Bands are the middle half of the seeds."""
    folder.mkdir(parents=True, exist_ok=True)
    for problem, strategies in sorted(found.curves.items()):
        figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
        for strategy, curves in strategies.items():
            n = min(trials, *(len(curve) for curve in curves.values()))
            rows = np.array([curve[:n] for curve in curves.values()])
            [line] = axes.plot(np.arange(1, n + 1), rows.mean(axis=0), label=strategy, linewidth=1.2)
            if strategy == "screened":
                low, high = np.quantile(rows, (0.25, 0.75), axis=0)
                axes.fill_between(np.arange(1, n + 1), low, high, color=line.get_color(), alpha=0.15)
        axes.set(title=problem, xlabel="evaluations", ylabel="hypervolume / true", ylim=(0.2, 1.01), xlim=(1, trials))
        axes.legend(fontsize="x-small", ncols=2)
        path = folder / f"{problem}.png"
        figure.savefig(path, dpi=120)
        plt.close(figure)
        yield path
