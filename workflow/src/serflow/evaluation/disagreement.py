"""What a run does where listeners disagree."""

from dataclasses import asdict

import numpy as np

from serflow.evaluation.measures import Resampling
from serflow.evaluation.predictions import EvaluatedRun
from serflow.evaluation.references import CLASSES, majority_shares, votes_on
from serflow.metrics.agreement import entropy, jensen_shannon_distance, share_correlation
from serflow.metrics.bootstrap import bootstrap_interval

# Share of the listeners who chose the emotion that most of them chose: names, from the lowest share on.
AGREEMENT = {"80 % or more": 0.8, "50 to 80 %": 0.5, "less than 50 %": 0.0}


def disagreement(run: EvaluatedRun, catalog, resampling: Resampling) -> dict:
    """Return how a run does by the listeners' agreement, and how its uncertainty is like theirs.

    Parameters
    ----------
    run
        The run. The test clips of its folds are pooled; those without votes are left out.
    catalog
        ``pandas.DataFrame`` of the catalogue, indexed by clip, with the votes.
    resampling
        For the intervals.

    Returns
    -------
    dict
        ``reason`` says why nothing can be measured. ``n_clips`` have votes. ``agreement`` has for each of
        :data:`AGREEMENT` the number of clips, the UAR against the intended label (null without clips), and the mean
        ``entropy`` in bits of the ``model`` and the ``listeners``. ``entropy_correlation`` is the rank correlation of
        both over clips (Spearman's); the model's entropy is that of its calibrated probabilities. ``against`` compares
        the run with the ``intended`` label, the ``majority`` of listeners (shared among ties) and their ``votes``:
        ``accuracy`` is the mean share that they give to the model's answer, ``brier``, ``jensen_shannon`` and
        ``correlation`` are of the probabilities as the model gives them.
    """
    import pandas as pd

    voted, counts = votes_on(catalog, run.pooled.clips)
    nothing = {"n_clips": 0, "agreement": [], "entropy_correlation": None, "against": {}}
    if run.classes != list(CLASSES):
        return nothing | {"reason": "the classes of the run are not those that listeners chose among"}
    if not voted.any():
        return nothing | {"reason": "no test clip has listeners' votes"}
    clips, shares = run.pooled.where(voted), counts / counts.sum(axis=1, keepdims=True)
    uncertain, heard = entropy(clips.calibrated), entropy(shares)
    levels, place = list(AGREEMENT.values()), shares.max(axis=1)
    agreement = []
    for number, (name, lowest) in enumerate(AGREEMENT.items()):
        within = (place >= lowest) & (place < levels[number - 1] if number else True)
        some = clips.where(within)
        row = {"agreement": name, "n_clips": int(within.sum()), "n_speakers": len(set(some.speakers))}
        if within.any():
            row["uar"] = asdict(bootstrap_interval(some.confusions(), "uar", *resampling))
            row["entropy"] = {"model": float(uncertain[within].mean()), "listeners": float(heard[within].mean())}
        agreement.append({"uar": None, "entropy": None} | row)
    ranks = (pd.Series(values.round(9)).rank().to_numpy()[:, None] for values in (uncertain, heard))
    targets = {"intended": np.eye(len(CLASSES))[clips.truth], "majority": majority_shares(counts), "votes": shares}
    return {
        "n_clips": len(counts),
        "agreement": agreement,
        "entropy_correlation": float(share_correlation(*ranks)[0]),
        "against": {name: _against(clips.probabilities, target) for name, target in targets.items()},
        "reason": None,
    }


def _against(probabilities: np.ndarray, target: np.ndarray) -> dict[str, float]:
    rows = np.arange(len(target))
    return {
        "accuracy": float(target[rows, probabilities.argmax(axis=1)].mean()),
        "brier": float(((probabilities - target) ** 2).sum(axis=1).mean()),
        "jensen_shannon": float(jensen_shannon_distance(probabilities, target).mean()),
        "correlation": float(share_correlation(probabilities, target).mean()),
    }
