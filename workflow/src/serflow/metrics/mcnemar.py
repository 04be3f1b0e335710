"""McNemar's exact test of whether two models make equally many errors on the same clips."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class McNemar:
    """Number of clips that only A (``b``) or only B (``c``) got right, and the two-sided p-value."""

    b: int
    c: int
    p_value: float


def mcnemar_exact(correct_a, correct_b) -> McNemar:
    """Return the result of McNemar's exact test.

    If both models err equally often, each clip that only one of them gets right is a fair coin toss, so the smaller
    count follows Binomial(b + c, 1/2). The test assumes independent clips. Clips of one speaker are not, so it finds
    differences too easily; use :func:`serflow.metrics.bootstrap.paired_difference` to decide.

    Parameters
    ----------
    correct_a, correct_b
        Whether each clip is correct, shape (n,).

    Raises
    ------
    ValueError
        If the lengths differ.

    References
    ----------
    McNemar, "Note on the sampling error of the difference between correlated proportions or percentages",
    Psychometrika 12(2), 1947; the exact form: Fagerland et al., BMC Medical Research Methodology 13:91, 2013.
    """
    from scipy.special import bdtr

    a, b = np.asarray(correct_a, dtype=bool), np.asarray(correct_b, dtype=bool)
    if a.ndim != 1 or a.shape != b.shape:
        raise ValueError(f"predictions of shapes {a.shape} and {b.shape} are not of the same clips")
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    return McNemar(only_a, only_b, min(1.0, 2 * float(bdtr(min(only_a, only_b), only_a + only_b, 0.5))))
