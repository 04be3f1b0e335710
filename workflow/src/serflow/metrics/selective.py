"""Answering "unsure" below a confidence: accuracy and coverage by threshold, and the threshold for an accuracy."""

from collections.abc import Mapping, Sequence

from serflow.metrics.calibration import risk_coverage

UNSURE = "unsure"
# The accuracy of fewer answers says too little.
MIN_ANSWERS = 20
_ROWS = 100


def accuracy_by_confidence(confidence, correct) -> list[dict[str, float]]:
    """Return the accuracy of the answers with at least some confidence, for thresholds from high to low.

    Parameters
    ----------
    confidence
        Of each clip, the probability of the answer, shape (n,). For a threshold that is used on other clips, these are
        validation clips.
    correct
        Whether each answer is correct, bool of shape (n,).

    Returns
    -------
    list of dict
        ``threshold``; ``accuracy``, the share of correct answers among those with at least this confidence; and
        ``coverage``, the share of all clips that they are. About 100 rows evenly by coverage, without those of fewer
        than 20 answers.
    """
    if not len(confidence):
        return []
    curve = risk_coverage(confidence, correct, _ROWS)
    return [
        {"threshold": threshold, "accuracy": 1 - risk, "coverage": coverage}
        for threshold, risk, coverage in zip(curve.threshold, curve.risk, curve.coverage, strict=True)
        if round(coverage * len(confidence)) >= MIN_ANSWERS
    ]


def threshold_for(table: Sequence[Mapping], accuracy: float) -> Mapping | None:
    """Return the row of :func:`accuracy_by_confidence` with the lowest threshold of at least an accuracy; None without.

    The lowest threshold leaves the fewest clips unanswered.

    References
    ----------
    Geifman & El-Yaniv, "Selective Classification for Deep Neural Networks", NeurIPS 2017, without the confidence bound.
    """
    return min((row for row in table if row["accuracy"] >= accuracy), key=lambda row: row["threshold"], default=None)
