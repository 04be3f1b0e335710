"""Which runs a report puts first."""

from collections.abc import Mapping, Sequence

# They test on speakers that the model was not trained on: what a reader wants to know of others.
HEADLINE_PROTOCOLS = ("speaker-independent", "cross-corpus")


def best_run(runs: Sequence[Mapping]) -> Mapping:
    """Give the run with the highest UAR: of the headline's protocols, else of those that are not leaky, else of all.

    Parameters
    ----------
    runs
        Those of ``evaluation.json``.
    """
    headline = [run for run in runs if run["protocol"] in HEADLINE_PROTOCOLS]
    honest = [run for run in runs if not run["leaky"]]
    return max(headline or honest or runs, key=lambda run: run["pooled"]["uar"]["value"])
