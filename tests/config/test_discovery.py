"""Which modules are imported, in which order, and what is said when one fails."""

from __future__ import annotations

import sys

import pytest

from deriva_ml_core.config.discovery import load_configs
from deriva_ml_core.config.project import load_project
from deriva_ml_core.errors import ConfigModuleError, DerivaMLConfigurationError


@pytest.fixture
def package(tmp_path, monkeypatch, request):
    """Write modules that record their import into a package with a name of its own; returns (name, write, order)."""
    name = f"configs_{abs(hash(request.node.nodeid))}"
    folder = tmp_path / name
    folder.mkdir()
    (folder / "__init__.py").write_text("order = []\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write(path: str, text: str | None = None):
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text if text is not None else f"from {name} import order\norder.append(__name__)\n")
        return file

    yield folder, write, lambda: [module.removeprefix(f"{name}.") for module in sys.modules[name].order]
    for module in [module for module in sys.modules if module.split(".")[0] == name]:
        del sys.modules[module]


def test_modules_are_imported_alphabetically_and_experiments_last(package):
    """Experiments refer to the others, so they come last, also in a sub-package."""
    folder, write, order = package
    for path in ("zeta.py", "experiments.py", "alpha.py", "sub/__init__.py", "sub/experiments.py", "sub/late.py"):
        write(path)

    loaded = load_configs(folder.name)

    assert order() == ["alpha", "sub", "sub.late", "sub.experiments", "zeta", "experiments"]
    assert loaded == sorted(loaded)
    assert loaded == sorted(f"{folder.name}.{name}" for name in order())


def test_missing_package_is_an_empty_list():
    """A notebook outside of a project may call load_configs()."""
    assert load_configs("there_is_no_such_package") == []


def test_failing_module_is_named_with_its_own_file_and_line(package):
    """The line is that of the user's code, not of the library that it called."""
    folder, write, _ = package
    file = write("bad.py", "import json\n\njson.loads('{')\n")

    with pytest.raises(ConfigModuleError) as caught:
        load_configs(folder.name)

    assert (caught.value.module, caught.value.file, caught.value.line) == (f"{folder.name}.bad", str(file), 3)
    assert "\n" not in str(caught.value)


def test_module_that_leaves_the_process_is_an_error(package):
    """sys.exit in a configuration module must not look like a successful command."""
    folder, write, _ = package
    write("bad.py", "import sys\nsys.exit(0)\n")

    with pytest.raises(ConfigModuleError, match=r"bad.py:2: SystemExit"):
        load_configs(folder.name)


def test_project_of_the_older_generation_loads_its_own_list(package):
    """A package without modules may offer load_all_configs()."""
    folder, _, _ = package
    (folder / "__init__.py").write_text("order = []\ndef load_all_configs():\n    return ['b', 'a']\n")

    assert load_project(folder) == ["a", "b"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "Config directory not found"),
        (lambda path: path.write_text("x"), "is not a folder"),
        (lambda path: path.mkdir(), "holds no Python modules"),
    ],
)
def test_wrong_folder_says_what_is_wrong(tmp_path, make, words):
    """Each way in which a folder can be wrong has its words, and the option to name another."""
    make(tmp_path / "configs")

    with pytest.raises(DerivaMLConfigurationError, match=words) as caught:
        load_project(tmp_path / "configs")

    assert "--config-dir" in str(caught.value)


def test_folder_that_python_cannot_import_is_refused(tmp_path):
    """The folder's name is the package's."""
    (tmp_path / "my-configs").mkdir()
    with pytest.raises(DerivaMLConfigurationError, match="not a Python name"):
        load_project(tmp_path / "my-configs")
