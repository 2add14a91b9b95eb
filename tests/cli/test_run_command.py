"""The command line of deriva-ml-run: what it prints without running anything, in a real process."""

from __future__ import annotations

import json
import os
import pty
import subprocess

import pytest
import yaml

from deriva_ml_core.cli import main as shared
from deriva_ml_core.cli.run import parse
from deriva_ml_core.errors import (
    DerivaMLConfigurationError,
    DerivaMLUploadError,
    DerivaMLValidationError,
)


def _on_terminal(project, *arguments, columns=70):
    """Run the command on a pseudo terminal; what it shows there."""
    parent, child = pty.openpty()
    env = project.environment(COLUMNS=str(columns), TERM="xterm")
    command = str(project.command("deriva-ml-run"))
    process = subprocess.Popen([command, *arguments], cwd=project.root, env=env, stdout=child, stderr=child)
    os.close(child)
    shown = b""
    try:
        while block := os.read(parent, 65536):
            shown += block
    except OSError:  # Linux: the other end has gone
        pass
    os.close(parent)
    assert process.wait(timeout=60) == 0
    return shown.decode()


def test_info_lists_groups_options_and_descriptions(guide_project):
    """A bare --info shows every group, each option with what it is for, and marks what a bare run takes."""
    result = guide_project.run("--info")

    assert (result.returncode, result.stderr) == (0, "")
    for line in (
        "  * default_deriva  dev.example.org, catalog 1",
        "    production      prod.example.org, catalog 100",
        "  * default_dataset  (none)",
        "    training_data    Training data: 1000 labeled images.",
        "    resnet_weights  ResNet50 weights",
        "  * default_model  Do nothing.",
        "    quick_training  Quick training.",
        "    rates  Rates, \"quoted\" and 'quoted'",
        "  * deriva_model  A model run",
    ):
        assert line in result.stdout.splitlines()


@pytest.mark.parametrize("arguments", [["--list-configs"], ["-i"], ["--info", "+experiment=quick_training"]])
def test_other_ways_to_ask_for_the_menu(guide_project, arguments):
    """--list-configs is the newer generation's name of it; overrides after --info are overrides."""
    result = guide_project.run(*arguments)

    assert result.returncode == 0
    assert result.stdout.startswith("Options of deriva_model")
    marked = "    default_model" if "+experiment=quick_training" in arguments else "  * default_model"
    assert any(line.startswith(marked) for line in result.stdout.splitlines())


def test_info_is_json_where_a_program_reads_it(guide_project):
    """What lists also prints JSON: each group, how to choose, what a run takes, the options with what they are for."""
    listed = json.loads(guide_project.run("--info", "--json").stdout)
    plain = guide_project.run("--info").stdout

    groups = {section["group"]: section for section in listed}
    assert {"model_config", "datasets", "experiment", "multirun", "configurations"} <= groups.keys()
    assert groups["model_config"]["chosen"] in {option["name"] for option in groups["model_config"]["options"]}
    assert all(f"{section['group']}  ({section['usage']})" in plain for section in listed)
    refused = guide_project.run("--info", "defaults", "--json")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)


def test_info_on_a_terminal_has_colours_and_its_width(guide_project):
    """On a terminal the menu is coloured and no line is wider than it."""
    shown = _on_terminal(guide_project, "--info", columns=60)

    plain = [_without_colours(line) for line in shown.splitlines()]
    assert "\x1b[" in shown
    assert max(len(line.rstrip()) for line in plain) <= 60
    assert any("Training data" in line for line in plain)


def _without_colours(text):
    import re

    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--cfg", "job", "--resolve", "model_config=quick", "--host", "local", "--catalog", "digits"],
        ["model_config=quick", "--catalog", "digits", "--cfg", "job", "--host=local", "--resolve"],
        ["--host", "local", "model_config=quick", "--resolve", "--catalog", "digits", "--cfg=job"],
    ],
)
def test_flags_and_overrides_in_any_order(guide_project, arguments):
    """However flags and overrides are mixed, the composed configuration is the same."""
    result = guide_project.run(*arguments)

    config = yaml.safe_load(result.stdout)
    assert result.stderr == ""
    assert config["model_config"]["epochs"] == 3
    assert (config["deriva_ml"]["hostname"], config["deriva_ml"]["catalog_id"]) == ("local", "digits")
    assert config["_target_"] == "deriva_ml_core.runner.run_model"


HYDRA_FLAGS = {
    ("--cfg", "hydra", "--package", "hydra.job"): "deriva_model",
    ("--cfg", "all"): "hydra:",
    ("--cfg", "job", "-p", "model_config"): "# @package model_config",
    ("--info", "defaults"): "model_config",
    ("--info=searchpath",): "Config search path",
    ("--info", "plugins"): "BasicLauncher",
    ("--info", "defaults-tree"): "Defaults Tree",
    ("--info", "config"): "Config",
    ("--hydra-help",): "Hydra",
    ("--shell-completion", "install=bash"): "complete",
    ("--help",): "--config-dir",
}


@pytest.mark.parametrize("flags", HYDRA_FLAGS)
def test_hydras_own_flags_pass(guide_project, flags):
    """Each of Hydra's flags does what it does in a Hydra application, and runs nothing."""
    before = guide_project.files()

    result = guide_project.run(*flags)

    assert result.returncode == 0, result.stderr
    assert HYDRA_FLAGS[flags] in result.stdout
    assert guide_project.files() == before


def test_config_dir_and_config_name(project):
    """Another folder and another top-level configuration can be named, in their long and short forms."""
    made = project()
    (made.root / "src/configs").rename(made.root / "src/settings")
    base = made.root / "src/settings/base.py"
    base.write_text(base.read_text().replace('name="deriva_model"', 'name="other"'))
    experiments = made.root / "src/settings/experiments.py"
    experiments.write_text(experiments.read_text().replace("configs.base", "settings.base"))

    result = made.run("-c", "src/settings", "-cn", "other", "--cfg", "job")

    assert result.returncode == 0, result.stderr
    assert yaml.safe_load(result.stdout)["description"] == "A model run"


def test_version_tells_which_distribution_it_is(guide_project):
    """Another distribution has the same name: the version says where this one was taken from."""
    result = guide_project.run("--version")

    from importlib.metadata import version

    assert result.returncode == 0
    assert result.stdout.splitlines()[0] == f"deriva-ml {version('deriva-ml')}"
    assert "from " in result.stdout
    assert str(shared.Path(shared.__file__).resolve().parents[2]) in result.stdout


@pytest.mark.parametrize(
    ("direct_url", "origin"),
    [
        ('{"url": "https://x.org/r", "vcs_info": {"vcs": "git", "commit_id": "abc"}}', "https://x.org/r@abc"),
        ('{"url": "file:///home/a/deriva-ml", "dir_info": {"editable": true}}', "/home/a/deriva-ml (editable)"),
        ('{"url": "file:///tmp/deriva_ml-1.whl", "archive_info": {}}', "/tmp/deriva_ml-1.whl"),
        (None, None),
    ],
)
def test_origin_of_a_distribution(direct_url, origin):
    """PEP 610 records where pip and uv took a distribution from; a registry leaves no record."""
    assert shared._origin(direct_url) == origin


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DerivaMLConfigurationError("x"), 2),
        (DerivaMLValidationError("x", ["y"]), 2),
        (DerivaMLUploadError("x"), 3),
        (KeyboardInterrupt(), 130),
        (ValueError("x"), 1),
    ],
)
def test_exit_codes(error, code, capsys):
    """0 done, 1 failed, 2 wrong input, 3 outputs wait on disk, 130 interrupted; the message is on stderr."""

    def body():
        raise error

    assert shared.run_command(body) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err


def test_wrong_input_after_an_execution_was_recorded_is_a_failed_run():
    """Exit code 2 promises that nothing was written: with an execution on record it is 1."""

    def body():
        error = DerivaMLValidationError("x")
        error.execution_rid = "1-ABCD"
        raise error

    assert shared.run_command(body) == 1


def test_sys_exit_passes():
    """The exit code that a model chose is the command's."""
    with pytest.raises(SystemExit) as caught:
        shared.run_command(lambda: (_ for _ in ()).throw(SystemExit(7)))
    assert caught.value.code == 7


def test_short_options_are_told_from_overrides():
    """Short options take their values wherever they stand; what is left is overrides in their order."""
    arguments = parse(["a=1", "-c", "conf", "~b", "-m", "+c=2", "--debug"])

    assert arguments.overrides == ["a=1", "~b", "+c=2"]
    assert (arguments.options.config_dir, arguments.options.multirun, arguments.options.debug) == ("conf", True, True)


def test_reader_that_goes_away_is_no_error(guide_project):
    """`deriva-ml-run --info | head -1` ends without a traceback."""
    result = subprocess.run(
        f"{guide_project.command('deriva-ml-run')} --info | head -1",
        shell=True,
        cwd=guide_project.root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.stdout, result.stderr) == ("Options of deriva_model (* = chosen)\n", "")
