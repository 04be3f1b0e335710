"""What a model is compared with: chance, the majority class, and the people who listened to the clips.

Each reference is a confusion matrix, of counts or of shares, so every score and every interval of a model
exists for it as well. Human listeners come from the votes that Cao et al. (IEEE Trans. Affective Computing
5(4), 2014) collected; the truth is, as for the models, the emotion that the speaker was asked for.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from serflow.corpus.crema_d_names import EMOTIONS
from serflow.metrics.scores import as_codes, confusion_matrix, scores_from_confusion

CLASSES = tuple(sorted(EMOTIONS))


def chance(classes: int) -> float:
    """Give accuracy and UAR of guessing evenly among K classes."""
    return 1 / classes


def majority_class(truth_train, truth_test, classes: int) -> tuple[int, np.ndarray]:
    """Answer every clip with the class that is most frequent in training.

    Parameters
    ----------
    truth_train, truth_test
        Class codes, shapes (n,) and (m,).
    classes
        Number of classes K.

    Returns
    -------
    code : int
        The class, the first of equals.
    confusion : numpy.ndarray
        int64, shape (K, K), over the test clips.

    Raises
    ------
    ValueError
        If there are no training labels, or codes are out of range.
    """
    train = as_codes(truth_train, classes, "training labels")
    if not train.size:
        raise ValueError("no training labels to take the majority of")
    code = int(np.bincount(train, minlength=classes).argmax())
    return code, confusion_matrix(truth_test, np.full(np.size(truth_test), code), classes)


def votes_on(votes: Mapping[str, np.ndarray], clips: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Pick the votes on given clips.

    Parameters
    ----------
    votes
        From `serflow.corpus.metadata.voice_votes`.
    clips
        Clip names, n of them, for example those of a test set.

    Returns
    -------
    voted : numpy.ndarray
        bool, shape (n,): which of the clips have votes.
    counts : numpy.ndarray
        int64, shape (voted.sum(), 6).
    """
    voted = np.array([clip in votes for clip in clips], dtype=bool)
    rows = [votes[clip] for clip in clips if clip in votes]
    return voted, np.array(rows, dtype=np.int64).reshape(len(rows), len(CLASSES))


def majority_shares(counts) -> np.ndarray:
    """Share out each clip among the classes with most votes, (n, K) → (n, K): t equals get 1/t each.

    It is what choosing among equals by lot gives on average, without the lot.

    Raises
    ------
    ValueError
        If a clip has no votes, or a negative number of them.
    """
    counts = _votes(counts)
    top = counts == counts.max(1, keepdims=True)
    return top / top.sum(1, keepdims=True)


def _votes(counts) -> np.ndarray:
    counts = np.asarray(counts)
    if counts.ndim != 2 or (counts < 0).any() or (counts.sum(1) <= 0).any():
        raise ValueError(f"expected votes (n, K), none negative and some for each clip; got shape {counts.shape}")
    return counts


def human_reference(counts, truth) -> dict[str, dict]:
    """Score human listeners on given clips.

    Parameters
    ----------
    counts
        Votes, shape (n, K).
    truth
        Class codes, shape (n,).

    Returns
    -------
    dict
        ``listener``: one listener, every vote an answer, so accuracy is the share of right votes and recall
        that among the votes on clips of a class. ``majority``: the class with most votes, equals sharing the
        clip. Each has all of `metrics.scores_from_confusion` and ``confusion_matrix``, K lists of K floats:
        votes for the listener, clips for the majority. For intervals give ``counts`` or `majority_shares` to
        `bootstrap.speaker_confusions`.

    Raises
    ------
    ValueError
        If there are no clips, the lengths differ, or a clip has no votes.
    """
    counts = _votes(counts)
    classes = counts.shape[1]
    truth = as_codes(truth, classes, "truth")
    if truth.size != len(counts):
        raise ValueError(f"{truth.size} true labels but votes on {len(counts)} clips")
    member = np.eye(classes)[truth]
    matrices = {"listener": member.T @ counts, "majority": member.T @ majority_shares(counts)}
    return {
        name: scores_from_confusion(matrix) | {"confusion_matrix": matrix.tolist()} for name, matrix in matrices.items()
    }
