"""What a fingerprint depends on: all that computes a result, and nothing else."""

import pytest

from serflow.runtime import fingerprint as module

SOURCES = {
    "a.py": '''"""Says."""
from serflow import c
from serflow.b import LIMIT, Base, cached, f, log
from serflow.runtime.errors import UserError
from serflow.storage import read

UNUSED = 1


def g(x, by=LIMIT, *, also=(7, 8)):
    """Say."""
    if x > 90:
        raise UserError("too large")
    print("working on", x)
    log("step")
    return read(f(x)) + c.h() + Inner(x).double() + by + 1


def unused():
    return 55


class Inner(Base):
    size: int = 4

    def double(self):
        return 2 * self.x
''',
    "b.py": """from serflow.c import deep as renamed
LIMIT = 11
OTHER = 12


def cached(function):
    return function


def log(text):
    print(text.upper())


@cached
def f(x: int) -> int:
    from serflow.c import late

    return 2 * x + renamed + late(x)


class Base:
    def __init__(self, x):
        self.x = x + 21
""",
    "c.py": """deep = 5


def h():
    return 3


def late(x):
    return x - 31


def alone():
    return 41
""",
    "runtime/errors.py": "class UserError(Exception):\n    size = 61\n",
    "storage/__init__.py": "def read(x):\n    return 71 * x\n",
    "runtime/__init__.py": "",
    "__init__.py": "",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "serflow"
    for name, text in SOURCES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    forget()
    yield folder
    forget()


def forget():
    for function in (module._digest, module._module, module._source):
        function.cache_clear()


def changes(folder, name, old, new, used="serflow.a:g"):
    before = module.fingerprint(used)
    path = folder / name
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    forget()
    return module.fingerprint(used) != before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("a.py", "+ by + 1", "+ by + 2"),
        ("a.py", "x > 90", "x > 91"),
        ("a.py", "raise UserError(", "raise ValueError("),
        ("a.py", "(7, 8)", "(7, 9)"),  # a default argument
        ("a.py", "2 * self.x", "3 * self.x"),  # a method
        ("a.py", "size: int = 4", "size: int = 5"),
        ("a.py", "Inner(Base)", "Inner"),
        ("b.py", "return 2 * x", "return 3 * x"),
        ("b.py", "LIMIT = 11", "LIMIT = 13"),  # a constant that is a default argument
        ("b.py", "return function\n", "return lambda x: function(x)\n"),  # a decorator
        ("b.py", "@cached\n", ""),
        ("b.py", "x + 21", "x + 22"),  # a method of a base class
        ("c.py", "return 3", "return 4"),  # reached by "from serflow import c" and c.h()
        ("c.py", "deep = 5", "deep = 6"),  # imported under another name
        ("c.py", "x - 31", "x - 32"),  # imported within a function
    ],
)
def test_what_makes_a_step_stale(package, name, old, new):
    assert changes(package, name, old, new)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("a.py", '"""Say."""', '"""Tell."""'),
        ("a.py", '"""Says."""', '"""Tells."""'),
        ("a.py", "+ by + 1", "+ by + (1)  # why"),
        ("a.py", '"too large"', 'f"{x} is too large; use less"'),
        ("a.py", '    print("working on", x)\n', ""),
        ("a.py", "UNUSED = 1", "UNUSED = 2"),
        ("a.py", "return 55", "return 56"),
        ("a.py", "size: int = 4", "size: float = 4"),
        ("b.py", "x: int", "x: float"),
        ("b.py", ") -> int:", "):"),
        ("b.py", "print(text.upper())", "print(text)"),
        ("b.py", "OTHER = 12", "OTHER = 14"),
        ("c.py", "return 41", "return 42"),
        ("runtime/errors.py", "size = 61", "size = 62"),  # plumbing
        ("storage/__init__.py", "71 * x", "72 * x"),
    ],
)
def test_what_does_not(package, name, old, new):
    assert not changes(package, name, old, new)


def test_a_whole_module(package):
    assert changes(package, "a.py", "return 55", "return 56", used="serflow.a")
    assert changes(package, "c.py", "return 3", "return 4", used="serflow.a")
    assert not changes(package, "c.py", "return 41", "return 42", used="serflow.a")


def test_several_at_once(package):
    both = module.fingerprint("serflow.a:g", "serflow.c:alone")
    assert both == module.fingerprint("serflow.c:alone", "serflow.a:g") != module.fingerprint("serflow.a:g")


@pytest.mark.parametrize(
    ("used", "text", "message"),
    [
        ("serflow.nowhere", "", r"no module serflow\.nowhere"),
        ("serflow.d:missing", "", r"serflow\.d has no missing"),
        ("serflow.d", "from . import c\n", "this import is not followed"),
        ("serflow.d", "import serflow.c\n", "this import is not followed"),
        ("serflow.d", "from serflow.c import nothing\nx = nothing\n", r"serflow\.c has no nothing"),
    ],
)
def test_what_cannot_be_followed_is_an_error(package, used, text, message):
    (package / "d.py").write_text(text)
    with pytest.raises(ValueError, match=message):
        module.fingerprint(used)


def test_files_that_a_module_names_are_code_as_well(package):
    text = (package / "b.py").read_text()
    (package / "b.py").write_text('DATA_FILES = ("page.html", "parts")\n' + text)
    with pytest.raises(ValueError, match=r"serflow\.b: DATA_FILES names page\.html, which is not there"):
        module.fingerprint("serflow.a:g")
    (package / "parts/inner").mkdir(parents=True)
    for name in ("page.html", "parts/inner/style.css", "notes.txt"):
        (package / name).write_text("one")
    forget()
    assert changes(package, "page.html", "one", "two")
    assert changes(package, "parts/inner/style.css", "one", "two")
    assert not changes(package, "notes.txt", "one", "two")
    before = module.fingerprint("serflow.a:g")
    (package / "parts/more.js").write_text("one")
    forget()
    assert module.fingerprint("serflow.a:g") != before


def test_the_page_is_stale_when_its_template_changes(project):
    """All files that the page is made of are below the folder that it names."""
    report = project / "workflow/src/serflow/report"
    found = set(module._data_files("serflow.report.page"))
    assert found == {path for path in report.rglob("*") if path.suffix in (".html", ".css", ".js")}


def test_every_module_of_the_package_can_be_followed(project):
    source = project / "workflow/src"
    names = [".".join(path.relative_to(source).with_suffix("").parts) for path in source.glob("serflow/**/*.py")]
    modules = sorted({name.removesuffix(".__init__") for name in names})
    assert len(modules) > 50
    for name in modules:
        if not name.startswith(module.PLUMBING):
            module.fingerprint(name)
