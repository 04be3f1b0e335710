import pytest

from serflow.runtime import fingerprint as module

SOURCES = {
    "a.py": '"""Says."""\nfrom serflow.b import f\n\n\ndef g(x):\n    """Say."""\n    return f(x) + 1\n',
    "b.py": "def f(x):\n    return 2 * x\n",
    "c.py": "def h():\n    return 3\n",
    "__init__.py": "",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "serflow"
    folder.mkdir()
    for name, text in SOURCES.items():
        (folder / name).write_text(text)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    forget()
    yield folder
    forget()


def forget():
    module._parsed.cache_clear()
    module._source.cache_clear()


def changes(folder, name, old, new):
    before = module.fingerprint("serflow.a")
    path = folder / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    forget()
    return module.fingerprint("serflow.a") != before


@pytest.mark.parametrize(
    ("name", "old", "new", "stale"),
    [
        ("a.py", "+ 1", "+ 2", True),
        ("b.py", "2 * x", "3 * x", True),
        ("c.py", "3", "4", False),
        ("a.py", '"""Say."""', '"""Tell."""', False),
        ("a.py", '"""Says."""', '"""Tells."""', False),
        ("b.py", "return 2 * x", "# why\n    return (2 * x)", False),
    ],
)
def test_what_makes_a_step_stale(package, name, old, new, stale):
    assert changes(package, name, old, new) is stale


def test_a_module_that_is_missing_is_an_error(package):
    with pytest.raises(ValueError, match=r"no module serflow\.nowhere"):
        module.fingerprint("serflow.nowhere")


def test_files_that_a_module_names_are_code_as_well(package):
    (package / "b.py").write_text('DATA_FILES = ("page.html", "parts")\n' + SOURCES["b.py"])
    with pytest.raises(ValueError, match=r"serflow\.b: DATA_FILES names page\.html, which is not there"):
        module.fingerprint("serflow.a")
    (package / "parts/inner").mkdir(parents=True)
    for name in ("page.html", "parts/inner/style.css", "notes.txt"):
        (package / name).write_text("one")
    forget()
    assert changes(package, "page.html", "one", "two")
    assert changes(package, "parts/inner/style.css", "one", "two")
    assert not changes(package, "notes.txt", "one", "two")
    before = module.fingerprint("serflow.a")
    (package / "parts/more.js").write_text("one")
    assert module.fingerprint("serflow.a") != before


def test_the_page_is_stale_when_its_template_changes(project):
    """Nothing that the page is made of is forgotten: all its files are below the folder that it names."""
    report = project / "workflow/src/serflow/report"
    found = set(module._data_files("serflow.report.page"))
    assert found == {path for path in report.rglob("*") if path.suffix in (".html", ".css", ".js")}


def test_imports_of_names_and_of_submodules_are_followed(package):
    (package / "d.py").write_text("import serflow.b\nfrom serflow import c\n")
    assert module._parsed("serflow.d")[1] == ["serflow.b", "serflow.c"]
