"""A model card: what a model was made of, how good it is, for whom, and what it is not for."""

from collections.abc import Mapping

import jinja2

# Mitchell et al., "Model Cards for Model Reporting", FAT* 2019.
_CARD = """\
# {{ about.model }} on {{ about.corpus }}

A model of emotion in acted speech, made by serflow {{ about.serflow }}: protocol `{{ about.protocol }}`, \
seed {{ about.seed }}, fold {{ about.fold }}.
{% if about.leaky %}
**Its protocol is leaky**: copies of test clips and the test speakers are in training, so the figures below say \
nothing about other speakers. Use a model of the protocol `speaker-independent`.
{% endif %}
## Data

Trained on {{ about.metrics.n_train }} clips, validated on {{ about.metrics.n_valid }}, tested on \
{{ about.metrics.n_test }}. Classes: {{ about.classes | join(", ") }}: what the speakers were asked to show, not what \
they felt. Recordings are mixed down, resampled to {{ about.preprocessing.sampling_rate }} Hz and cut or padded to \
{{ about.preprocessing.target_length }} samples; the model reads {{ about.features }}.

## How good it is

On the test clips of this fold: UAR {{ percent(about.metrics.uar) }}, accuracy {{ percent(about.metrics.accuracy) }}, \
weighted F1 {{ percent(about.metrics.f1_weighted) }}. Chance is {{ percent(1 / about.classes | length) }}.
On the test clips of all folds together (models trained in the same way): UAR {{ with_interval(run.pooled.uar) }}, \
95 % over speakers.

| class | recall on this fold |
|---|---:|
{% for name in about.classes %}| {{ name }} | {{ percent(about.metrics.recall[loop.index0]) }} |
{% endfor %}
Probabilities are as the model gives them; `confidence` is that of the label after dividing the logits by \
{{ "%.2f" | format(about.temperature) }}, fitted on the validation clips.

## Groups

UAR of all folds together.

| group | | clips | UAR |
|---|---|---:|---|
{% for kind, groups in run.groups.items() %}{% for group in groups %}\
| {{ kind }} | {{ group.group }} | {{ group.n_clips }} | {{ with_interval(group.uar) }} |
{% endfor %}{% endfor %}
## Meant for

Research on acted speech like that of {{ about.corpus }}: the same language, short utterances, close microphones.

## Not meant for

Decisions about people. Acted emotion is not felt emotion; other languages, ages, accents, rooms and microphones were \
not tested. In the European Union inferring emotions at work or in education is prohibited, with few exceptions \
(Regulation (EU) 2024/1689, Article 5).
"""


def model_card(about: Mapping, run: Mapping) -> str:
    """Write the card.

    Parameters
    ----------
    about
        ``bundle.json``.
    run
        The run in ``evaluation.json``.

    Returns
    -------
    str
        Markdown.
    """
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False, keep_trailing_newline=True)
    environment.globals |= {"percent": _percent, "with_interval": _with_interval}
    return environment.from_string(_CARD).render(about=about, run=run)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _with_interval(found: Mapping) -> str:
    low, high = (100 * found[end] if found[end] is not None else float("nan") for end in ("low", "high"))
    return f"{_percent(found['value'])} ({low:.1f} to {high:.1f})" if low == low else _percent(found["value"])
