"""A recording that starts later or ends earlier by some samples."""

TITLE = "samples cut off"
KIND = "small"
SETTINGS = {
    "samples": {
        "type": "array",
        "minItems": 2,
        "maxItems": 2,
        "items": {"type": "integer", "minimum": 1, "maximum": 1000000},
        "default": [100, 1000],
    },
}
THRESHOLDS = {"unchanged": 0.95}


def change(samples, level, rng, scene):
    """Cut samples off the beginning or the end, at most half of the clip; their number and the end are drawn."""
    count = min(rng.integers(*sorted(scene.settings["samples"]), endpoint=True), len(samples) // 2)
    return samples[count:] if rng.integers(2) else samples[: len(samples) - count]
