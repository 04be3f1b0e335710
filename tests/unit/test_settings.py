import copy

import pytest
import yaml

from serflow.runtime.errors import UserError
from serflow.runtime.settings import check_settings, read_scalars


@pytest.fixture
def config(project):
    return yaml.safe_load((project / "config.yaml").read_text())


@pytest.fixture
def check(project):
    return lambda config: check_settings(config, project / "workflow/schemas/config.schema.yaml")


def test_scalars_given_on_the_command_line_are_read():
    text = {"a": {"b": "3", "c": ["0.5", "x"], "d": "null"}, "e": "true", "f": "1: 2", "g": 4, "h": "/data/x"}
    assert read_scalars(text) == {"a": {"b": 3, "c": [0.5, "x"], "d": None}, "e": True, "f": "1: 2"} | {
        "g": 4,
        "h": "/data/x",
    }


def test_the_shipped_settings_are_valid(config, check):
    assert read_scalars(config) == config
    check(config)


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


def test_every_setting_refuses_a_wrong_type_and_says_its_name(config, check):
    for path in leaves(config):
        with pytest.raises(UserError) as error:
            check(replaced(config, path, {"a": 1}))
        assert f"config: {'.'.join(path)}" in str(error.value) and "\n" not in str(error.value)


def test_every_section_refuses_a_key_it_does_not_know(config, check):
    sections = {path[:depth] for path in leaves(config) for depth in range(len(path))}
    for section in sections:
        with pytest.raises(UserError, match=r"\.?speling is no setting"):
            check(replaced(config, (*section, "speling"), 1))


def test_every_setting_is_required(config, check):
    for path in leaves(config):
        changed = copy.deepcopy(config)
        place = changed
        for key in path[:-1]:
            place = place[key]
        del place[path[-1]]
        with pytest.raises(UserError, match=f"{'.'.join(path)} is missing"):
            check(changed)


def test_several_faults_are_told_at_once(config, check):
    with pytest.raises(UserError, match=r"mel.n_mels is 0.*; config: shards is -1"):
        check(replaced(replaced(config, ("mel", "n_mels"), 0), ("shards",), -1))


def test_what_no_single_setting_shows(config, check):
    with pytest.raises(UserError, match="leave nothing to train on"):
        check(replaced(replaced(config, ("split", "test"), 0.7), ("split", "valid"), 0.3))
