"""Stratified random splits, as the notebook draws them."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from serflow.runtime.errors import UserError


def stratified_parts(labels: Sequence[str], settings: Mapping) -> list[str]:
    """Return the part of each row by its label: stratified 70/30, then 5 % of the 70 for validation."""
    from sklearn.model_selection import train_test_split

    # One-hot, as in the notebook: the order in which scikit-learn sorts the classes decides which rows are chosen.
    one_hot = np.array(labels)[:, None] == np.unique(labels)
    shares = {"test": settings["test"], "valid": settings["valid"]}
    parts, rows = np.full(len(labels), "train", dtype="U5"), np.arange(len(labels))
    try:
        for part, share in shares.items():
            rows, chosen = train_test_split(
                rows, test_size=share, stratify=one_hot[rows].astype(float), random_state=settings["random_state"]
            )
            parts[chosen] = part
    except ValueError as error:
        rarest, count = Counter(labels).most_common()[-1]
        raise UserError(
            f"split: {len(labels)} clips, {count} of them of class {rarest}, are too few to stratify: each part needs "
            f"every class (split.test is {settings['test']:g}, split.valid {settings['valid']:g}); add clips of "
            f"{rarest}, or raise split.valid"
        ) from error
    return parts.tolist()
