"""
A wrong command costs nothing: one line that says what is wrong and what is there instead, exit code 2, nothing written.

Through the real command, in the guide's project. Rules that need a catalog are in test_bad_input_catalog.py.
"""

from __future__ import annotations

import pytest

WRONG_COMMANDS = {
    "no configuration folder": (["-c", "src/nothing"], ["Config directory not found", "src/nothing", "--config-dir"]),
    "a bare word that is an option": (["quick"], ["'quick'", "model_config=quick"]),
    "a bare word that is an experiment": (["quick_training"], ["+experiment=quick_training"]),
    "a bare word near an option": (["quik"], ["did you mean 'quick'", "+experiment=quik", "GROUP=quik"]),
    "a group without a name": (["model_config"], ["model_config=NAME", "default_model, quick"]),
    "unknown group": (["modle_config=quick"], ["'modle_config'", "did you mean 'model_config'"]),
    "unknown added group": (["+experimnt=quick_training"], ["'+experiment=quick_training'"]),
    "a group that must be added": (["experiment=quick_training"], ["+experiment=quick_training"]),
    "unknown option": (["model_config=quik"], ["model_config", "'quik'", "did you mean 'quick'", "default_model"]),
    "unknown option in a sweep": (["-m", "model_config=quick,quik"], ["'quik'", "did you mean 'quick'"]),
    "a glob that matches nothing": (["-m", "model_config=glob(x*)"], ["glob(x*)", "default_model, quick"]),
    "unknown experiment": (["+experiment=quick_trainign"], ["did you mean 'quick_training'"]),
    "unknown key": (["model_config.epoch=3"], ["'model_config.epoch'", "did you mean 'epochs'"]),
    "unknown top-level key": (["descripton=x"], ["'descripton'", "did you mean 'description'"]),
    "syntax": (["model_config.epochs=[1,2"], ["model_config.epochs=[1,2", "in a shell, quote it"]),
    "no key": (["=3"], ["'=3'", "before the ="]),
    "a value of another type": (["dry_run=maybe"], ["dry_run", "maybe", "bool"]),
    "a sweep without --multirun": (["model_config=quick,default_model"], ["--multirun"]),
    "unknown flag": (["--mutlirun"], ["--mutlirun", "did you mean '--multirun'"]),
    "unknown topic": (["--info", "default"], ["'default'", "did you mean 'defaults'"]),
    "flags that exclude each other": (["--multirun", "--cfg", "job"], ["--multirun", "--cfg"]),
    "unknown multirun": (["+multirun=rate"], ["'rate'", "did you mean 'rates'"]),
    "multirun without plus": (["multirun=rates"], ["+multirun=rates"]),
    "unknown configuration": (["--config-name", "deriva_modle"], ["'deriva_modle'", "did you mean 'deriva_model'"]),
    "unknown launcher": (["-m", "hydra/launcher=bsic", "model_config.epochs=1,2"], ["hydra/launcher", "basic"]),
    "a bad value for the connection": (["deriva_ml.mode=sideways"], ["deriva_ml", "mode", "online"]),
    "deleted": (["~nothing"], ["nothing"]),
}


@pytest.mark.parametrize("name", WRONG_COMMANDS)
def test_wrong_command_is_one_line_and_writes_nothing(guide_project, name):
    """Whatever is wrong with a command, its user reads one line with the way out, and finds no trace of it."""
    arguments, expected = WRONG_COMMANDS[name]
    before = guide_project.files()

    result = guide_project.run(*arguments)

    assert result.returncode == 2, result.stderr
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1, result.stderr
    assert [part for part in expected if part not in result.stderr] == [], result.stderr
    assert guide_project.files() == before


def test_failing_module_is_named_with_file_and_line(project):
    """A configuration module that fails to import is reported where it fails, also inside a module that it imports."""
    made = project()
    made.write("src/models/model.py", "import math\n\nmath.sqroot(2)\n")

    result = made.run()

    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "configs.my_model" in result.stderr
    assert f"{made.root / 'src/models/model.py'}:3" in result.stderr
    assert "sqroot" in result.stderr


def test_syntax_error_in_a_module_is_named_with_its_line(project):
    """A module that is no Python at all is reported with the line that Python could not read."""
    made = project()
    path = made.write("src/configs/broken.py", "x = 1\ny = = 2\n")

    result = made.run("--info")

    assert result.returncode == 2
    assert f"{path}:2" in result.stderr


def test_required_option_that_no_module_stores_is_named(project):
    """A project without one of the five defaults is told which, before anything is built."""
    made = project()
    made.write("src/configs/assets.py", "from hydra_zen import store\nstore([], group='assets', name='default_aset')\n")

    result = made.run("--cfg", "job")

    assert result.returncode == 2
    assert "group assets has no option 'default_asset'; did you mean 'default_aset'" in result.stderr
