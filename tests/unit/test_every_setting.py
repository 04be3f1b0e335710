"""Every setting, walked through by its schema: a wrong value is refused with the key, the value and what is allowed."""

import copy
import itertools
import math

import pytest

from serflow.configuration import configure, read_schema
from serflow.runtime.errors import UserError
from serflow.runtime.settings import check_settings
from serflow.runtime.yaml_files import read_file


@pytest.fixture(scope="module")
def config(project):
    return configure({"corpus": "mine"}, project)


@pytest.fixture(scope="module")
def schema(project, config):
    return read_schema(project / "workflow/schemas/config.schema.yaml", config["models"])


@pytest.fixture(scope="module")
def refuse(schema, config):
    """Return a function that puts a value into the settings and returns the line that refuses it."""

    def check(path, value):
        changed = copy.deepcopy(config)
        place = changed
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        with pytest.raises(UserError) as error:
            check_settings(changed, schema)
        assert str(error.value).isprintable() and len(str(error.value)) < 1000
        return str(error.value)

    return check


def resolved(schema, rules):
    """Put what a reference names in its place; the keys beside it go on top."""
    while "$ref" in rules:
        named = schema["$defs"][rules["$ref"].rsplit("/", 1)[-1]]
        beside = {key: value for key, value in rules.items() if key != "$ref"}
        properties = named.get("properties", {}) | beside.get("properties", {})
        rules = named | beside | ({"properties": properties} if properties else {})
    return rules


def leaves(schema, rules, value, path=()):
    """Return path, rules and value of everything that a setting may hold, entries of lists included."""
    rules = resolved(schema, rules)
    yield path, rules
    if isinstance(value, dict):
        for key, below in value.items():
            if key == "choices":  # of a search, whose values the rules of its model judge
                continue
            of_key = rules.get("properties", {}).get(key) or rules["additionalProperties"]
            yield from leaves(schema, of_key, below, (*path, key))
    elif isinstance(value, list) and value:
        items = next(option["items"] for option in (rules, *rules.get("anyOf", ())) if "items" in option)
        yield from leaves(schema, items, value[0], (*path, 0))


def wrong_values(schema, rules):
    """Make values that the rules of one setting refuse."""
    options = [resolved(schema, option) for option in rules.get("anyOf", [rules])]
    kinds = set()
    for option in options:
        kinds |= set(option["type"] if isinstance(option.get("type"), list) else [option.get("type")])
    if kinds & {"integer", "number"}:
        yield from (math.nan, math.inf, -math.inf, 10**30, -(10**30), "3x", True)
        if "number" not in kinds:
            yield from (3.5, 4.0, 1e300)
    if "enum" in rules or "string" in kinds:
        yield 3
        if "enum" in rules or "pattern" in rules:
            yield from ("", "no such\0thing")
    if "null" not in kinds:
        yield None
    if "object" not in kinds:
        yield {"a": 1}
    if "array" not in kinds:
        yield [1]
    if len(options) == 1:
        step = 1 if "integer" in kinds else 0.001
        for key, beyond in (("minimum", -step), ("exclusiveMinimum", 0), ("maximum", step), ("exclusiveMaximum", 0)):
            if key in rules:
                yield rules[key] + beyond
    if "minItems" in rules:
        yield []
    if "maxItems" in rules:
        yield [1] * (rules["maxItems"] + 1)


def test_every_wrong_value_of_every_setting(config, schema, refuse):
    tried = 0
    for path, rules in leaves(schema, schema, config):
        if not path:
            continue
        for value in wrong_values(schema, rules):
            message = refuse(path, value)
            key = ".".join(map(str, path))
            told = any(f"config: {key}{between}{value!r}"[:150] in message for between in (" is ", ": "))
            # The message about a section or list may name a value inside it.
            inside = isinstance(value, dict | list) and f"config: {key}" in message
            # That about a list with alternatives shows the list.
            of_list = type(path[-1]) is int and f"config: {'.'.join(map(str, path[:-1]))} is [" in message
            assert told or inside or of_list, (path, value, message)
            tried += 1
    assert tried > 700


def test_every_bound_is_allowed(config, schema):
    """The schema says what it means: at each bound a value is taken, unless another setting forbids it."""
    for path, rules in leaves(schema, schema, config):
        for key in ("minimum", "maximum"):
            if key in rules:
                changed = copy.deepcopy(config)
                place = changed
                for part in path[:-1]:
                    place = place[part]
                place[path[-1]] = rules[key]
                check_settings(changed, schema)


def test_every_section_names_the_key_that_it_does_not_know(config, schema, refuse):
    for path, rules in leaves(schema, schema, config):
        if "properties" in rules and path != ("models",):  # where any name may stand for an architecture
            for key, name in (("speling", "speling"), ("a\nb", "a\\nb"), (3, "3"), ("x" * 5000, "x" * 200)):
                message = refuse((*path, key), 1)
                assert f"config: {'.'.join(map(str, (*path, name)))}" in message and " is not a setting; " in message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"augment.time_stretch.low": 1.3}, "augment.time_stretch.low is 1.3, above augment.time_stretch.high (1.2)"),
        ({"augment.pitch_shift.high": -5}, "augment.pitch_shift.low is -4, above augment.pitch_shift.high (-5)"),
        ({"split.test": 0.7, "split.valid": 0.3}, "split.test and split.valid leave nothing to train on"),
        ({"catalog.audit.min_seconds": 10}, "catalog.audit.min_seconds must be below catalog.audit.max_seconds"),
        ({"runs.0.protocol": "custom"}, "runs.0.protocol is 'custom', which needs split.table"),
        (
            {"runs.0.models": ["cnn3d"]},
            "runs.0.models names 'cnn3d', but models has: cnn1d, cnn2d, logreg_embedding, mlp_embedding, "
            "resnet_asp, svm_functionals",
        ),
        ({"runs.0.models": ["cnn1d", "cnn1d"]}, "runs.0 names notebook, cnn1d, seed 0 again"),
        ({"runs.0.seeds": [1, 1]}, "runs.0 names notebook, cnn1d, seed 1 again"),
        ({"runs.1.protocol": "notebook"}, "runs.1 names notebook, cnn1d, seed 0 again"),
        ({"mel.n_mels": 800}, "mel.n_mels is 800, but mel.n_fft (1569) has only 785 frequencies"),
        ({"models.cnn2d.filters": [1, 2]}, "models.cnn2d.filters: [1, 2] is too short"),
        ({"corpus": "../up"}, "corpus is '../up', but must be letters, digits"),
        ({"corpus": "a/b"}, "corpus is 'a/b', but must be letters"),
        ({"corpus": ".."}, "corpus is '..', but must be letters"),
        ({"corpus": "$(touch x)"}, "corpus is '$(touch x)', but must be letters"),
        ({"corpus": "mine\n"}, "corpus is 'mine\\n', but must be letters"),
        ({"corpus": "a" * 101}, "but must be letters"),
        ({"audio": "a\0b"}, "audio contains a zero byte"),
    ],
)
def test_what_contradicts_itself_and_what_leads_elsewhere(project, config, changes, message):
    changed = copy.deepcopy(config) | {"format": None}
    for key, value in changes.items():
        place = changed
        *above, last = [int(part) if part.isdigit() else part for part in key.split(".")]
        for part in above:
            place = place[part]
        place[last] = value
    with pytest.raises(UserError) as error:
        configure(changed, project)
    assert message in str(error.value) and str(error.value).isprintable()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must contain settings"),
        ("- a\n- b\n", "must contain settings"),
        ("shards\n", "must contain settings"),
        ("mel: {n_mels: 3\nfoo: [", ", line 2: not valid YAML"),
        ("mel:\n\tn_mels: 3\n", ", line 2: not valid YAML (found character '\\t' that cannot start any token)"),
        ("shards: 3\nshards: 4\n", ", line 2: shards is given twice"),
        ("a: 1\nmel:\n  n_fft: 1\n  hop_length: 2\n  n_fft: 3\n", ", line 5: n_fft is given twice"),
        ("runs:\n- {seeds: [0],\n   seeds: [1]}\n", ", line 3: seeds is given twice"),
        ('corpus: !!python/object/apply:os.system ["touch pwned"]\n', ", line 1: not valid YAML (could not determine"),
        ("corpus: 2024-13-45\n", "not valid YAML (month must be in 1..12"),
        (f"shards: {'9' * 5000}\n", "not valid YAML (Exceeds the limit"),
        ("a: &a [*a]\nb: *nowhere\n", "not valid YAML (found undefined alias"),
        ("[" * 1500, "not valid YAML"),
        ("a: 1\n---\nb: 2\n", "not valid YAML (but found another document)"),
        (b"corpus: \xff\xfe\n", "not valid YAML ('utf-8' codec"),
        (b"a: \x07\n", "not valid YAML"),
    ],
)
def test_a_settings_file_that_is_none(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "my.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError) as error:
        read_file(path)
    assert str(error.value).startswith(str(path)) and message in str(error.value) and str(error.value).isprintable()
    assert not (tmp_path / "pwned").exists()


def test_a_settings_file_that_is_not_there(tmp_path):
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(UserError, match="cannot be read"):
            read_file(path)


def test_the_shipped_settings_file_is_one(project):
    read_file(project / "config.yaml")


def test_pairs_of_wrong_values_are_all_told(config, schema):
    paths = [path for path, rules in leaves(schema, schema, config) if rules.get("type") == "integer" and 0 not in path]
    for first, second in itertools.pairwise(paths):
        changed = copy.deepcopy(config)
        for path in (first, second):
            place = changed
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = "none"
        with pytest.raises(UserError) as error:
            check_settings(changed, schema)
        assert all(
            f"config: {'.'.join(path)}: 'none' is not of type 'integer'" in str(error.value) for path in (first, second)
        )
