"""What a model is trained on: the intended label, or what listeners heard."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from serflow.corpus.crema_d_names import VOTES
from serflow.runtime.errors import UserError
from serflow.storage import read_table

INTENDED, SHARES, MIXED = "intended", "votes", "mixed"
TARGETS = (INTENDED, SHARES, MIXED)


def targets_of(how: str, clips: Path | None, origins: Sequence[str], labels: np.ndarray, classes: Sequence[str]):
    """Return the shares of the classes that each clip is trained on.

    Parameters
    ----------
    how
        ``intended``: the label; ``votes``: the shares of the listeners' votes; ``mixed``: the mean of both. Clips
        without votes have their label.
    clips
        The catalogue, with the votes; not needed for ``intended``.
    origins
        The recording that each clip is, or is a copy of.
    labels
        Codes of their intended labels, shape (n,).
    classes
        Names of the classes.

    Returns
    -------
    ndarray
        float32 of shape (n, classes).

    Raises
    ------
    UserError
        If the listeners chose among other classes, or none of the clips has votes.
    """
    targets = np.eye(len(classes), dtype=np.float32)[labels]
    if how == INTENDED:
        return targets
    columns = [f"votes_{name}" for name in classes]
    if columns != VOTES:
        raise UserError(
            f"targets: {how} needs the emotions that listeners chose among ({', '.join(VOTES)}), but the classes are "
            f"{', '.join(classes)}; set targets: {INTENDED}"
        )
    table = read_table(clips, ["clip", *columns])
    counts = np.column_stack([table[name].cast("float64").to_numpy() for name in columns])
    row_of = {clip: row for row, clip in enumerate(table["clip"].to_pylist())}
    of_clips = counts[[row_of[origin] for origin in origins]]
    voted = np.isfinite(of_clips).all(axis=1)
    if not voted.any():
        raise UserError(f"targets: {how} needs listeners' votes, but the corpus has none; set targets: {INTENDED}")
    shares = of_clips[voted] / of_clips[voted].sum(axis=1, keepdims=True)
    targets[voted] = shares if how == SHARES else (shares + targets[voted]) / 2
    return targets
