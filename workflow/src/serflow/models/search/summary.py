"""The result of a search over all folds: its table, the best settings, and how much each setting matters."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from serflow.storage import read_json, write_csv, write_json, write_text

_ENOUGH = 8  # trials for the importance of settings


def search_summary(
    search: str,
    about: Mapping,
    rankings: Sequence[Path],
    *,
    corpus: str,
    table: Path,
    chosen: Path,
    summary: Path,
) -> None:
    """Write the table of all trials of a search and the settings with the best mean over folds.

    Parameters
    ----------
    search
        Name of the search.
    about
        ``model``, ``architecture``, ``protocol``, ``seed``, ``epochs`` of the rungs, and the ``space``.
    rankings
        What ``rank_trials`` wrote for each fold and rung.
    corpus
        Name of the corpus.
    table
        ``trials.csv``: a row for each trial, the best first. Trials are compared at the last rung that they reached in
        every fold: those that came further first, then by the mean UAR of the validation clips there.
    chosen
        ``chosen.yaml``, the settings of the first row as a model for ``--configfile``.
    summary
        ``summary.json``: all of this, for the report, with the settings that were chosen in each fold and the
        importance of each setting.
    """
    read = [read_json(path) for path in rankings]
    folds = sorted({ranking["fold"] for ranking in read})
    trials = _trials(read, folds, list(about["space"]))
    columns = ["trial", "rung", "epochs", "valid_uar", *(f"fold{fold}" for fold in folds), "seconds", *about["space"]]
    rows = [
        [*(row[name] for name in columns[:4]), *row["folds"], row["seconds"], *map(_cell, row["values"].values())]
        for row in trials
    ]
    write_csv(table, columns, rows)
    write_text(chosen, _as_configuration(search, about, trials[0], corpus))
    last = {ranking["fold"]: ranking["ranking"][0] for ranking in sorted(read, key=lambda ranking: ranking["rung"])}
    by_fold = [
        {
            "fold": fold,
            "trial": last[fold]["trial"],
            "valid_uar": last[fold]["valid_uar"],
            "values": {name: last[fold]["settings"][name] for name in about["space"]},
        }
        for fold in folds
    ]
    found = {"search": search, **about, "folds": folds, "trials": trials, "chosen": by_fold}
    write_json(summary, found | {"importance": _importance(trials, about)})


def _trials(rankings: Sequence[Mapping], folds: Sequence[int], names: Sequence[str]) -> list[dict]:
    """Return a row for each trial, the best first."""
    reached: dict[int, dict] = {}
    for ranking in rankings:
        for result in ranking["ranking"]:
            reached.setdefault(result["trial"], {})[ranking["fold"], ranking["rung"]] = result
    rows = []
    for trial, results in reached.items():
        last = {fold: max(rung for of, rung in results if of == fold) for fold in folds}
        rung = min(last.values())
        there = [results[fold, rung] for fold in folds]
        uars = [result["valid_uar"] for result in there]
        rows.append(
            {
                "trial": trial,
                "rung": rung,
                "epochs": max(result["epochs"] for result in there),
                "valid_uar": float(np.mean(uars)),
                "folds": uars,
                "first_uar": float(np.mean([results[fold, 0]["valid_uar"] for fold in folds])),
                "seconds": sum(results[fold, last[fold]]["seconds"] for fold in folds),
                "values": {name: there[0]["settings"][name] for name in names},
                "settings": there[0]["settings"],
            }
        )
    return sorted(rows, key=lambda row: (-row["rung"], -row["valid_uar"], row["trial"]))


def _cell(value):
    """Return a value as a cell of a table, a list as text."""
    return " ".join(map(str, value)) if isinstance(value, list) else value


def _as_configuration(search: str, about: Mapping, best: Mapping, corpus: str) -> str:
    """Return the settings of a trial as a named model, and runs of it beside the model as it was."""
    import yaml

    name = f"{about['model']}_chosen"
    models = {name: {"architecture": about["architecture"], **best["settings"]}}
    runs = [{"protocol": about["protocol"], "models": [about["model"], name], "seeds": [about["seed"]]}]
    header = (
        f"# Trial {best['trial']} of the search {search}: the best mean UAR on the validation speakers of all folds.\n"
        f"# They are the test speakers of other folds, so figures on {corpus} are optimistic; the report says so.\n"
        "# snakemake --cores 8 --configfile chosen.yaml\n"
    )
    return header + yaml.safe_dump(
        {"models": models, "chosen_on": {name: corpus}, "runs": runs}, sort_keys=False, allow_unicode=True
    )


def _importance(trials: Sequence[Mapping], about: Mapping) -> list[dict]:
    """Return by how much the UAR of the first rung that a random forest predicts suffers if a setting is shuffled.

    In shares of the explained variance, from permutation importance; see Breiman, Machine Learning 45, 2001.
    """
    drawn = [row for row in trials if row["trial"]]  # the model as it is may have values that are not in the space
    if len(drawn) < _ENOUGH:
        return []
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance

    space = about["space"]
    values = np.array([[position(row["values"][name], choice) for name, choice in space.items()] for row in drawn])
    uars = [row["first_uar"] for row in drawn]
    forest = RandomForestRegressor(200, random_state=0).fit(values, uars)
    found = permutation_importance(forest, values, uars, n_repeats=30, random_state=0)
    rows = zip(space, found.importances_mean, found.importances_std, strict=True)
    return [{"setting": name, "mean": float(mean), "sd": float(sd)} for name, mean, sd in rows]


def position(value, choice: Mapping) -> float:
    """Return where a drawn value is in the choice or range of its setting, from 0 to 1; choices are in their order."""
    if "choices" in choice:
        return choice["choices"].index(value) / max(1, len(choice["choices"]) - 1)
    low, high = choice["low"], choice["high"]
    if choice.get("log"):
        value, low, high = np.log([value, low, high])
    return float((value - low) / (high - low)) if high > low else 0.0
