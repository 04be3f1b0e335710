"""What models are compared with: chance, the majority class, and the people who listened to the clips.

Each reference is a confusion matrix of counts or shares, so it has the same metrics and intervals as a model. The
votes of human listeners were collected by Cao et al. (IEEE Trans. Affective Computing 5(4), 2014). The truth is, as
for the models, the emotion that the speaker was asked to show.
"""

from collections.abc import Sequence

import numpy as np

from serflow.corpus.crema_d_names import EMOTIONS, VOTES
from serflow.evaluation.measures import Resampling, intervals
from serflow.evaluation.predictions import EvaluatedRun
from serflow.metrics.bootstrap import speaker_confusions
from serflow.metrics.scores import recall

CLASSES = tuple(sorted(EMOTIONS))


def reference_scores(run: EvaluatedRun, catalog, resampling: Resampling) -> dict:
    """Return the references on the test clips of a run.

    ``majority_class`` is the most frequent training class of each fold. ``human`` is one listener and the majority of
    listeners, on the ``n_clips`` of ``n_test`` test clips that have votes (augmented copies have none), or None
    without votes. ``catalog`` is the ``pandas.DataFrame`` of the catalogue, indexed by clip, with the votes.
    """
    clips, classes = run.pooled, run.classes
    majority = [majority_class(fold.train_truth[0]) for fold in run.folds]
    predicted = np.repeat(majority, [len(fold.clips) for fold in run.folds])
    sums = speaker_confusions(clips.speakers, clips.truth, predicted, len(classes))
    return {
        "chance": 1 / len(classes),
        "majority_class": {
            "classes": [classes[code] for code in majority],
            "n_clips": len(clips.clips),
            **intervals(sums, resampling, clips.strata),
        },
        # The listeners chose among six emotions, so their votes are no reference for other classes.
        "human": _human(run, catalog, resampling) if classes == list(CLASSES) else None,
    }


def _human(run: EvaluatedRun, catalog, resampling: Resampling) -> dict | None:
    voted, counts = votes_on(catalog, run.pooled.clips)
    if not voted.any():
        return None
    heard = run.pooled.where(voted)
    human = {"n_clips": len(counts), "n_test": len(voted)}
    for name, shares in (("listener", counts), ("majority", majority_shares(counts))):
        sums = speaker_confusions(heard.speakers, heard.truth, shares, len(CLASSES))
        recalls = dict(zip(CLASSES, recall(sums.sum(0)).tolist(), strict=True))
        human[name] = {**intervals(sums, resampling, heard.strata), "recall": recalls}
    return human


def majority_class(truth: np.ndarray) -> int:
    """Return the most frequent of class codes (n,); the first one if there are several."""
    return int(np.bincount(truth).argmax())


def votes_on(catalog, clips: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return which clips have votes, bool of shape (n,), and these votes, int64 of shape (voted, 6)."""
    votes = catalog[VOTES].reindex(clips)
    voted = votes.notna().all(axis=1).to_numpy()
    return voted, votes[voted].to_numpy(dtype=np.int64)


def majority_shares(counts) -> np.ndarray:
    """Return the share of each clip for each class, (n, K) → (n, K): 1 for the class with most votes, 1/t for t ties.

    This is the expectation of breaking ties at random.
    """
    counts = np.asarray(counts)
    top = counts == counts.max(1, keepdims=True)
    return top / top.sum(1, keepdims=True)
