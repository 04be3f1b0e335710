"""What the evaluation and the report need to know about a protocol."""

# From the leakiest to the strictest.
_ORDER = ("notebook", "random", "speaker-independent", "cross-corpus", "custom")
_UNKNOWN_SPEAKERS = ("speaker-independent", "cross-corpus")
_TITLES = {
    "notebook": "the notebook's random split of recordings and their copies",
    "random": "a random split of the recordings",
    "speaker-independent": "each fold tests on speakers that its model was not trained on",
    "cross-corpus": "each fold tests on one corpus with a model trained on the others, on the emotions that all have",
    "custom": "the split of your own table",
}


def leak_of(protocol: str) -> str | None:
    """Return why a protocol is leaky, or None if it is not."""
    from serflow.splits.split_clips import LEAKY

    return LEAKY.get(protocol)


def order_of(protocol: str) -> int:
    """Return the position of a protocol in the order from the leakiest to the strictest."""
    return _ORDER.index(protocol)


def tests_unknown_speakers(protocol: str) -> bool:
    """Return whether every model of a protocol is tested on speakers that it was not trained on."""
    return protocol in _UNKNOWN_SPEAKERS


def title_of(protocol: str) -> str:
    """Return a short description of a protocol."""
    return _TITLES[protocol]
