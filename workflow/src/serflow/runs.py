"""The runs that a configuration asks for: a model with a seed on one fold of a protocol."""

import functools
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from serflow.models.named import TRAINING, NamedModel
from serflow.runtime.errors import UserError

SEARCH = "search"  # the selection of the target of this name
QUICK = ("logreg_embedding", "logreg_embedding_speaker", "svm_functionals")  # no network that is trained by gradient


class Run(NamedTuple):
    """A model with a seed on one fold of a protocol."""

    protocol: str
    model: str
    seed: int
    fold: int


class Runs:
    """All runs of a configuration.

    Parameters
    ----------
    config
        The complete configuration.
    models
        All models by name, also those of searches.
    corpora
        Names of the corpora; one without a name if it is a single corpus.
    count_folds
        Returns the number of folds of a protocol.

    Attributes
    ----------
    folds : dict
        Protocol → number of its folds.
    configured : list of Run
        Those that are reported on.
    trained : list of Run
        The members of ensembles in place of these.
    tested : list of (protocol, model, seed)
        Those whose robustness is tested; empty stands for the headline run, which the metrics decide.
    """

    def __init__(
        self,
        config: Mapping,
        models: Mapping[str, NamedModel],
        corpora: Collection[str],
        count_folds: Callable[[str], int],
    ):
        self._models, wanted = models, runs_on(config["runs"], corpora)
        self._searches, self._count_folds = config["search"], functools.cache(count_folds)
        self.folds = {run["protocol"]: count_folds(run["protocol"]) for run in wanted}
        self.configured = [
            Run(run["protocol"], model, seed, fold)
            for run in wanted
            for model in run["models"]
            for seed in run["seeds"]
            for fold in range(self.folds[run["protocol"]])
        ]
        self.trained = list(dict.fromkeys(member for run in self.configured for member in self.members(run)))
        self.tested = self._tested(config["robustness"]["runs"])
        self._known = {*self.configured, *self.trained, *map(self.plain, self.trained)}

    def selected(self, selection: str) -> list[Run]:
        """Return the runs of a selection.

        ``all`` or a protocol: those configured; ``quick`` and ``search``: those of the targets of these names.
        """
        if selection == SEARCH:
            return self._searched()
        if selection == "quick":
            return [run for run in self.configured if run.protocol == "speaker-independent" and run.model in QUICK]
        return [run for run in self.configured if selection in ("all", run.protocol)]

    def members(self, run: Run) -> list[Run]:
        """Return the runs whose probabilities a run averages, if it is an ensemble; otherwise the run itself."""
        model = self._models[run.model]
        seeds = model.settings.get("seeds") or [run.seed]
        return [run._replace(model=name, seed=seed) for name in model.members for seed in seeds] or [run]

    def plain(self, run: Run) -> Run | None:
        """Return the run of a model like that of ``run`` which is not adapted to speakers, if there is one."""
        model = self._models[run.model]
        alike = (model.architecture, model.features, TRAINING, model.settings.get("encoder"))
        for name, other in self._models.items() if model.adapted else ():
            if (other.architecture, other.features, *map(other.settings.get, ("standardize", "encoder"))) == alike:
                return run._replace(model=name)
        return None

    def known(self, run: Run) -> bool:
        """Return whether a run is configured, or needed by one that is."""
        return run in self._known or run in self._searched()

    def folds_of(self, search: str) -> list[int]:
        """Return the folds that a search is summarised over."""
        section = self._searches[search]
        count = self._count_folds(section["protocol"])
        wanted = range(count) if section["folds"] is None else section["folds"]
        if max(wanted) >= count:
            raise UserError(
                f"config: search.{search}.folds has {max(wanted)}, but {section['protocol']} has the folds 0 to "
                f"{count - 1} here"
            )
        return list(wanted)

    def _tested(self, section: list[Mapping]) -> list[tuple[str, str, int]]:
        configured = {run[:3] for run in self.configured}
        found = [(run["protocol"], model, seed) for run in section for model in run["models"] for seed in run["seeds"]]
        for protocol, model, seed in found:
            if (protocol, model, seed) not in configured:
                raise UserError(f"config: robustness.runs names {protocol}, {model}, seed {seed}; add it to runs")
        return list(dict.fromkeys(found))

    def _searched(self) -> list[Run]:
        """Return the runs of each search, and those of its model as it is."""
        return [
            Run(section["protocol"], model, section["seed"], fold)
            for search, section in self._searches.items()
            for model in (section["model"], search)
            for fold in self.folds_of(search)
        ]


def runs_on(runs: list[Mapping], corpora: Collection[str]) -> list[Mapping]:
    """Return the configured runs; with several corpora and no ``cross-corpus`` run, one is added like the last.

    If it has ``logreg_embedding``, ``logreg_embedding_corpus`` comes first: it suits corpora of different rooms best.
    """
    if len(corpora) < 2 or any(run["protocol"] == "cross-corpus" for run in runs):
        return runs
    models = runs[-1]["models"]
    if "logreg_embedding" in models:
        models = list(dict.fromkeys(["logreg_embedding_corpus", *models]))
    return [*runs, {**runs[-1], "protocol": "cross-corpus", "models": models}]
