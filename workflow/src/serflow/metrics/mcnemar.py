"""McNemar's exact test of whether two models make equally many errors on the same clips."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class McNemar:
    """Number of clips that only A (``b``) or only B (``c``) got right, and the two-sided p-value."""

    b: int
    c: int
    p_value: float


def mcnemar_exact(correct_a: np.ndarray, correct_b: np.ndarray) -> McNemar:
    """Return the result of McNemar's exact test, from whether each clip is correct: bool, both of shape (n,).

    If both models err equally often, each clip that only one of them gets right is a fair coin toss, so the smaller
    count follows Binomial(b + c, 1/2). The test assumes independent clips. Clips of one speaker are not, so it finds
    differences too easily; use :func:`serflow.metrics.bootstrap.paired_difference` to decide.

    References
    ----------
    McNemar, "Note on the sampling error of the difference between correlated proportions or percentages",
    Psychometrika 12(2), 1947; the exact form: Fagerland et al., BMC Medical Research Methodology 13:91, 2013.
    """
    from scipy.special import bdtr

    b, c = int((correct_a & ~correct_b).sum()), int((correct_b & ~correct_a).sum())
    return McNemar(b, c, min(1.0, 2 * float(bdtr(min(b, c), b + c, 0.5))))
