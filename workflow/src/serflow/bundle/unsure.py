"""The confidence below which a bundle answers "unsure"."""

from collections.abc import Mapping
from functools import partial

from serflow.bundle.reader import Bundle
from serflow.metrics.selective import MIN_ANSWERS, threshold_for
from serflow.runtime.errors import UserError

DEMO_ACCURACY = 0.8


def validated(bundle: Bundle, *, unadapted: bool) -> list[Mapping]:
    """Return the accuracy by confidence on validation clips of the model for unknown speakers, or of the other one.

    They differ if the bundle holds two models.
    """
    of_model = bundle.about["plain"] if unadapted and "plain" in bundle.about else bundle.about
    return of_model["accuracy_by_confidence"]


def lowest_confidence(bundle: Bundle, name: str, accuracy: float, *, unadapted: bool) -> Mapping:
    """Return the row of :func:`validated` with the lowest threshold that reaches an accuracy.

    Parameters
    ----------
    bundle, name
        The bundle, and its path for messages.
    accuracy
        The wanted share of correct answers.
    unadapted
        Whether the model for unknown speakers is used.

    Raises
    ------
    UserError
        If ``accuracy`` is not a share, or no threshold reaches it.
    """
    if not 0 < accuracy <= 1:
        raise UserError(f"--accuracy {accuracy:g}: give a share above 0, at most 1, such as 0.8")
    table = validated(bundle, unadapted=unadapted)
    refuse = partial("{}: --accuracy {:g} cannot be reached: {}".format, name, accuracy)
    if not table:
        raise UserError(refuse(f"the model was validated on fewer than {MIN_ANSWERS} clips"))
    if row := threshold_for(table, accuracy):
        return row
    best = max(table, key=lambda row: row["accuracy"])
    reached = f"{best['accuracy']:.3f}, for {100 * best['coverage']:.0f} % of the clips"
    raise UserError(refuse(f"the highest accuracy of any confidence on the validation clips is {reached}"))
