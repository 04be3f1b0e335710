"""Dividing rows at random with the same share of every class on both sides, as scikit-learn draws it.

The notebook's test clips are those that scikit-learn's ``train_test_split`` draws, so what is drawn here is the same to
the row (the tests compare them). Importing scikit-learn for it took eight times as long as the whole step.
"""

import math

import numpy as np


def divide(codes: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Divide rows as ``train_test_split(rows, test_size=share, stratify=one_hot, random_state=seed)`` does.

    Parameters
    ----------
    codes
        The class of each row: whole numbers from 0 without a gap, shape (rows,).
    share
        Of the rows that are drawn, rounded up; between 0 and 1.
    seed
        Of the draw.

    Returns
    -------
    kept, drawn : ndarray
        Places of rows, in a random order.

    Raises
    ------
    ValueError
        If a class has fewer than two rows, or a side fewer rows than there are classes.

    Notes
    -----
    The notebook hands labels one-hot. scikit-learn then orders classes by their rows' text, in which the last class
    comes first, and the order of the classes decides what is drawn.
    """
    draws = np.random.RandomState(seed)  # the generator that scikit-learn draws from
    codes = codes.max() - codes
    counts = np.bincount(codes)
    number = math.ceil(share * len(codes))
    if counts.min() < 2 or min(number, len(codes) - number) < len(counts):
        raise ValueError(f"{len(codes)} rows of {len(counts)} classes cannot be divided with every class on both sides")
    of_kept = _shares(counts, len(codes) - number, draws)
    of_drawn = _shares(counts - of_kept, number, draws)
    members = np.split(np.argsort(codes, kind="stable"), np.cumsum(counts)[:-1])
    kept, drawn = [], []
    for places, first, second in zip(members, of_kept, of_drawn, strict=True):
        shuffled = places[draws.permutation(len(places))]
        kept.extend(shuffled[:first])
        drawn.extend(shuffled[first : first + second])
    return draws.permutation(kept), draws.permutation(drawn)


def _shares(counts: np.ndarray, number: int, draws) -> np.ndarray:
    """Say how many of ``number`` rows each class gets: the mode of the multivariate hypergeometric distribution.

    What is left over after rounding down goes to the largest remainders; between equal ones it is drawn.
    """
    exact = counts / counts.sum() * number
    shares = np.floor(exact)
    remainders = exact - shares
    left = int(number - shares.sum())
    for value in np.unique(remainders)[::-1]:
        if not left:
            break
        tied = np.flatnonzero(remainders == value)
        lucky = draws.choice(tied, size=min(len(tied), left), replace=False)
        shares[lucky] += 1
        left -= len(lucky)
    return shares.astype(int)
