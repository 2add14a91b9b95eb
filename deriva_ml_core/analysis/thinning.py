"""Fewer points of a long series, with its extremes: what a chart of it shows does not change."""

from __future__ import annotations

from deriva_ml_core.analysis.metrics import Series


def thin(series: Series, most: int) -> Series:
    """
    At most so many points: the first, the last, and of each part between them the lowest and the highest.

    Args:
        most: at least 4.
    """
    count = len(series.values)
    if count <= most:
        return series
    parts = (most - 2) // 2
    kept = {0, count - 1}
    for part in range(parts):
        start, stop = 1 + (count - 2) * part // parts, 1 + (count - 2) * (part + 1) // parts
        places = range(start, max(stop, start + 1))
        kept.add(min(places, key=series.values.__getitem__))
        kept.add(max(places, key=series.values.__getitem__))
    order = sorted(kept)
    return Series([series.steps[at] for at in order], [series.values[at] for at in order])
