"""Model cards: what a model was trained on, how good it is and for whom, and what it must not be used for."""

from collections.abc import Mapping

import jinja2

from serflow.metrics.scores import STATISTICS

# Mitchell et al., "Model Cards for Model Reporting", FAT* 2019.
_CARD = """\
# {{ about.model }} on {{ about.corpus }}

A model of emotion in acted speech, made by serflow {{ about.serflow }}: protocol `{{ about.protocol }}`, \
seed {{ about.seed }}, fold {{ about.fold }}, architecture `{{ about.architecture }}`.
{% if leak %}
**The protocol is leaky**: {{ leak }}. The figures below say nothing about other speakers. Use a model of the protocol \
`speaker-independent`.
{% endif %}
## Data

Trained on {{ about.metrics.n_train }} clips, validated on {{ about.metrics.n_valid }}, tested on \
{{ about.metrics.n_test }}. Classes: {{ about.classes | join(", ") }}. A class is the emotion that speakers were asked \
to show, not what they felt. Recordings are mixed down to one channel, resampled to \
{{ about.preprocessing.sampling_rate }} Hz and truncated or padded to {{ about.preprocessing.target_length }} samples. \
The model reads {{ about.features }}.

## Performance

On the test clips of this fold. Chance is {{ percent(1 / about.classes | length) }}.

| metric | value (95 % interval over {{ n_speakers }} speakers) |
|---|---|
{% for name, found in measures.items() %}| {{ titles[name] }} | {{ with_interval(found) }} |
{% endfor %}
| class | recall |
|---|---:|
{% for name in about.classes %}| {{ name }} | {{ percent(about.metrics.recall[loop.index0]) }} |
{% endfor %}
Probabilities are as the model gives them. `confidence` is the probability of the label after dividing the logits by \
{{ "%.2f" | format(about.temperature) }}, the temperature that was fitted on the validation clips.

## Groups

Unweighted average recall on the test clips of this fold.

| group | | clips | speakers | UAR |
|---|---|---:|---:|---|
{% for kind, groups in groups.items() %}{% for group in groups %}\
| {{ kind }} | {{ group.group }} | {{ group.n_clips }} | {{ group.n_speakers }} | {{ with_interval(group.uar) }} |
{% endfor %}{% endfor %}
## Intended use

Research on acted speech like that of {{ about.corpus }}: the same language, short utterances, close microphones.

## Not for

Decisions about people. Acted emotion is not felt emotion. Other languages, ages, accents, rooms and microphones were \
not tested. In the European Union inferring emotions at work or in education is prohibited, with few exceptions \
(Regulation (EU) 2024/1689, Article 5).
"""


def model_card(about: Mapping, measures: Mapping, groups: Mapping, n_speakers: int, leak: str | None) -> str:
    """Return the card in Markdown.

    Parameters
    ----------
    about
        Content of ``bundle.json``.
    measures
        Name of each metric on the test clips → its value and interval.
    groups
        What :func:`serflow.evaluation.measures.by_group` returned.
    n_speakers
        Number of test speakers.
    leak
        Why the protocol is leaky; None if it is not.
    """
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False, keep_trailing_newline=True)
    environment.globals |= {"percent": _percent, "with_interval": _with_interval}
    return environment.from_string(_CARD).render(
        about=about,
        measures=measures,
        titles={name: metric.title for name, metric in STATISTICS.items()},
        groups=groups,
        n_speakers=n_speakers,
        leak=leak,
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _with_interval(found: Mapping) -> str:
    interval = "" if found["low"] is None else f" ({100 * found['low']:.1f} to {100 * found['high']:.1f})"
    return _percent(found["value"]) + interval
