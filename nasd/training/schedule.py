"""The learning rate by step. Pure numbers, no torch."""

import math


def learning_rate(step: int, steps: int, *, peak: float, warmup: float) -> float:
    """Linear from peak / n_warm to `peak` over the first `warmup` share of `steps`, then half a cosine towards 0.

    `step` is 0-based and below `steps`. The zero would fall on step `steps`, so that no step is spent on it.
    """
    n_warm = round(warmup * steps)
    if step < n_warm:
        return peak * (step + 1) / n_warm
    return peak * 0.5 * (1.0 + math.cos(math.pi * (step - n_warm) / (steps - n_warm)))
