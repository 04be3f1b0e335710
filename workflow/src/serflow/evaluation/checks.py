"""The checks at the top of the report: what every run has to pass before its figures mean something."""

from collections.abc import Mapping, Sequence

from serflow.corpus.labels import LABELS
from serflow.evaluation.groups import greatest_difference
from serflow.evaluation.predictions import RunKey, key_of

PASS, FAIL, UNKNOWN = "pass", "fail", "unknown"
ROBUSTNESS_UNKNOWN = "not tested: run snakemake robustness report --cores 8"


def check_runs(
    measured: Sequence[Mapping],
    references: Mapping,
    pairs: Sequence[Mapping],
    groups: Sequence[Mapping],
    robustness: Mapping | None,
    settings: Mapping,
) -> list[dict]:
    """Return the checks of each run, which are ``pass``, ``fail`` or ``unknown``.

    Parameters
    ----------
    measured, references, pairs, groups, robustness
        ``runs``, ``references``, ``pairs``, ``groups`` and ``robustness`` of ``evaluation.json``.
    settings
        The section ``evaluation.checks`` of the configuration.

    Returns
    -------
    list of dict
        Key of each run, ``collapsed``: whether all its answers are one class, and ``checks``: each with its name,
        ``status``, the ``value`` and ``threshold`` that it follows from (null where there are none), and both in words.
    """
    compared = {key_of(entry): entry for entry in groups}
    checked = []
    for run in measured:
        key, pooled = key_of(run), run["pooled"]
        collapsed = _answers(pooled).count(0) == len(pooled["per_class"]) - 1
        found = {
            "classes": _classes(pooled, settings["answered"]),
            "chance": _chance(pooled["uar"], references[run["protocol"]]["chance"]),
            "baseline": _baseline(key, pairs, settings["baseline"]),
            "leak": _leak(run),
            "calibrated": _calibrated(pooled, settings["ece"], collapsed=collapsed),
            "robust": _robust(key, robustness),
            "groups": _groups(compared[key], collapsed=collapsed),
        }
        checks = [{"check": name, **check} for name, check in found.items()]
        checked.append({**key._asdict(), "collapsed": collapsed, "checks": checks})
    return checked


def _check(passed: bool | None, text: str, value: float | None = None, threshold: float | None = None) -> dict:
    status = UNKNOWN if passed is None else PASS if passed else FAIL
    return {"status": status, "value": value, "threshold": threshold, "text": text}


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _answers(pooled: Mapping) -> list[int]:
    return [sum(column) for column in zip(*pooled["confusion"]["counts"], strict=True)]


def _classes(pooled: Mapping, lowest: float) -> dict:
    shares = {
        row["class"]: (answers / row["support"], answers, row["support"])
        for row, answers in zip(pooled["per_class"], _answers(pooled), strict=True)
        if row["support"]
    }
    name = min(shares, key=shares.get)
    share, answers, clips = shares[name]
    never = [other for other, (_, count, _) in shares.items() if not count]
    if never:
        text = f"{', '.join(map(LABELS.__getitem__, never))} never predicted"
        if len(never) == len(shares) - 1:
            text = f"every clip is predicted as {LABELS[next(other for other in shares if other not in never)]}"
    else:
        text = f"of all emotions {LABELS[name]} is predicted least: {answers} times, for {clips} clips"
    return _check(share >= lowest, text, share, lowest)


def _chance(uar: Mapping, chance: float) -> dict:
    if uar["low"] is None:
        return _check(None, f"UAR {_percent(uar['value'])} has no interval ({uar['reason']})", uar["value"], chance)
    text = f"UAR {_percent(uar['value'])}, interval from {_percent(uar['low'])}; chance {_percent(chance)}"
    return _check(uar["low"] > chance, text, uar["low"], chance)


def _baseline(key: RunKey, pairs: Sequence[Mapping], baseline: str) -> dict:
    if key.model == baseline:
        return _check(None, f"{baseline} is the baseline")
    for pair in pairs:
        a, b = key_of(pair["a"]), key_of(pair["b"])
        other, sign = (b, 1) if a == key else (a, -1)
        if key in (a, b) and (other.protocol, other.model) == (key.protocol, baseline):
            difference = pair["difference"]["uar"]
            value = sign * difference["value"]
            text = f"UAR {100 * value:+.1f} points against {baseline}"
            if difference["low"] is None:
                return _check(None, f"{text}, without an interval ({difference['reason']})", value, 0.0)
            text += "" if difference["evidence"] else ", no evidence of a difference"
            return _check(difference["evidence"] and value > 0, text, value, 0.0)
    return _check(None, f"the baseline {baseline} was not run on these clips")


def _leak(run: Mapping) -> dict:
    if run["leaky"]:
        return _check(False, f"the protocol {run['protocol']} is leaky")
    if not run["unknown_speakers"]:
        return _check(False, "test speakers are also in training or validation")
    return _check(True, "test speakers are neither in training nor in validation")


def _calibrated(pooled: Mapping, largest: float, *, collapsed: bool) -> dict:
    error = pooled["calibration"]["after"]["ece"]
    if collapsed:
        return _check(None, "one emotion is predicted for every clip, so confidence says nothing", error, largest)
    return _check(error <= largest, f"calibration error {_percent(error)}, {_percent(largest)} at most", error, largest)


def _robust(key: RunKey, robustness: Mapping | None) -> dict:
    tested = {key_of(run): run for run in (robustness or {}).get("runs", [])}
    if key not in tested:
        return _check(None, ROBUSTNESS_UNKNOWN)
    if tested[key]["reason"]:
        return _check(None, tested[key]["reason"])
    judged = [row for row in tested[key]["conditions"] if row["passed"] is not None]
    failed = [row["condition"] for row in judged if not row["passed"]]
    if not judged:
        return _check(None, "no condition that could be tested has a threshold")
    text = f"{len(judged) - len(failed)} of {len(judged)} conditions"
    text += f"; not {', '.join(failed[:3])}{' …' if failed[3:] else ''}" if failed else ""
    return _check(not failed, text, 1 - len(failed) / len(judged), 1.0)


def _groups(compared: Mapping, *, collapsed: bool) -> dict:
    if collapsed:
        return _check(None, "one emotion is predicted for every clip, for all groups alike")
    most = greatest_difference(compared)
    if most is None:
        names_of: dict[str, list[str]] = {}
        for name, entry in compared["by"].items():
            names_of.setdefault(entry["reason"] or "no figure is defined in all groups", []).append(name)
        reasons = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in names_of.items())
        return _check(None, reasons or "nothing is known of the speakers")
    value, limit = abs(most["value"]), most["threshold"]
    figure = "UAR" if most["figure"] == "uar" else f"{most['figure']} of {LABELS[most['class']]}"
    between = f"{most['a']} and {most['b'] or 'others'}"
    text = f"{figure} differs by {100 * value:.1f} points between {between}; by chance up to {100 * limit:.1f}"
    return _check(not most["more_than_chance"], text, value, limit)
