"""What plugins add to catalogs, to projects' configurations, and to commands."""

from __future__ import annotations

import json
import os

import pytest

from deriva_ml_core.cli.catalog import main as catalog_main
from deriva_ml_core.cli.executions import main as executions_main
from deriva_ml_core.errors import PluginHookError
from deriva_ml_core.plugins import Plugins
from deriva_ml_core.schema.additions import install_additions

TABLES = """
@hookimpl
def deriva_catalog_tables():
    return [
        NewTable("lab", "Slide", "asset", (NewColumn("Stain", required=True),), comment="Stained tissue"),
        NewTable("lab", "Stain", "vocabulary"),
        NewTable("lab", "Bench", "plain", (NewColumn("Number", "int4"),), references=(("lab", "Slide"),)),
    ]

@hookimpl
def deriva_vocabulary_terms():
    return [NewTerm("Asset_Type", "Thumbnail", "A small picture"), NewTerm("Stain", "HE", "Both", ("H&E",), "lab")]
"""


def installed(session):
    """Installs what plugins want, as `schema install` does."""
    plugins = Plugins()
    tables, terms = (
        [one for _, some in plugins.all(hook) for one in some]
        for hook in ("deriva_catalog_tables", "deriva_vocabulary_terms")
    )
    return install_additions(session, tables, terms)


def test_hook_deriva_catalog_tables(install, ml_session):
    """Of each kind; said again, nothing is made."""
    install("acme", TABLES)

    first, second = installed(ml_session), installed(ml_session)

    assert first.tables == ("lab:Slide", "lab:Stain", "lab:Bench")
    assert second.tables == ()
    assert ml_session.model.table(("lab", "Slide")).is_asset
    assert ml_session.model.table(("lab", "Stain")).is_vocabulary
    assert "Slide" in ml_session.model.table(("lab", "Bench")).columns


def test_hook_deriva_vocabulary_terms(install, ml_session):
    """In vocabularies of deriva-ml and of the plugin; said again, none is added."""
    install("acme", TABLES)

    assert (installed(ml_session).terms, installed(ml_session).terms) == (2, 0)


def test_schema_install_tells_what_plugins_made(install, tmp_path, monkeypatch, capsys):
    """The command that installs the schema makes what installed plugins need."""
    install("acme", TABLES)
    monkeypatch.setenv("DERIVA_ML_LOCAL_ROOT", str(tmp_path / "root"))
    assert catalog_main(["create", "one", "--root", str(tmp_path / "root")]) == 0

    assert catalog_main(["schema", "install", "one", "--root", str(tmp_path / "root")]) == 0

    assert "tables of plugins: lab:Slide, lab:Stain, lab:Bench" in capsys.readouterr().out


def test_a_hook_that_fails_ends_the_command(install):
    """A catalog with half of what is needed must not look well."""
    install("acme", "@hookimpl\ndef deriva_catalog_tables():\n    raise OSError('no file')")

    with pytest.raises(PluginHookError, match="plugin acme, deriva_catalog_tables: OSError: no file"):
        Plugins().all("deriva_catalog_tables")


COMMANDS = """
def run(args):
    print(f"hello {args.name}")
    return 4

@hookimpl
def deriva_subcommands():
    arguments = lambda parser: parser.add_argument("name")
    return [
        Subcommand(command, "greet", "say hello", run, arguments)
        for command in ("deriva-ml-catalog", "deriva-ml-executions")
    ] + [Subcommand("deriva-ml-catalog", "list", "ours", run)]
"""


@pytest.mark.parametrize("main", [catalog_main, executions_main])
def test_hook_deriva_subcommands(install, capsys, main):
    """It runs, with its own exit code, and is on the command's help."""
    install("acme", COMMANDS)

    assert main(["greet", "you"]) == 4
    assert "hello you" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "say hello (plugin acme)" in capsys.readouterr().out


CONFIG = """
from hydra_zen import store

def options():
    store([], group="datasets", name="from_plugin")

@hookimpl
def deriva_config_modules():
    return ["acme_configs"]
"""


@pytest.fixture
def configured_project(project):
    return project()


@pytest.fixture
def configured(install, configured_project):
    site = install("acme", CONFIG)
    (site / "acme_configs.py").write_text(
        "from hydra_zen import store\n"
        "from deriva_ml.execution import multirun_config\n"
        "store([], group='datasets', name='from_plugin')\n"
        "multirun_config('from_plugin', ['dry_run=true,false'], 'Of the plugin')\n"
    )

    def run(*arguments: str):
        return configured_project.run(*arguments, PYTHONPATH=f"{site}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")

    return run


def test_hook_deriva_config_modules(configured):
    """Options of a plugin are on the menu, and can be chosen."""
    menu = configured("--info").stdout

    assert "from_plugin" in menu
    assert configured("datasets=from_plugin", "--cfg", "job").returncode == 0
    assert "deriva_slurm" not in menu  # Hydra's, not the project's


def test_an_installed_plugin_leaves_the_choice_of_launcher(configured):
    """The configuration is composed twice where a plugin is installed: the second time Hydra's plugins are known."""
    composed = configured("--cfg", "hydra", "--package", "hydra.launcher", "hydra/launcher=joblib")

    assert (composed.returncode, "joblib" in composed.stdout) == (0, True), composed.stderr


def test_a_plugin_that_can_not_name_its_modules_stops_the_command(install, project):
    """In one line, with the plugin and what to do."""
    site = install("acme", "@hookimpl\ndef deriva_config_modules():\n    raise OSError('no file')")

    result = project().run("--info", PYTHONPATH=str(site))

    assert result.returncode == 2
    assert result.stderr == (
        "error: plugin acme, deriva_config_modules: OSError: no file; repair it, or set plugins.block=[acme]\n"
    )


def test_a_blocked_plugin_adds_no_options(configured):
    """Blocking holds before the configuration is composed."""
    assert "from_plugin" not in configured("--info", "plugins.block=[acme]").stdout


def test_what_the_configuration_blocks_adds_no_options(configured, configured_project):
    """It is not even loaded: one that is broken is blocked in the same way, and no run hears of it."""
    configured_project.write(
        "src/configs/lab.py",
        """
        from hydra_zen import store
        from configs.deriva import Conf
        where = {"hostname": "local", "catalog_id": "demo"}
        store(Conf(plugins={"block": ["acme"]}, **where), group="deriva_ml", name="lab")
        store(Conf(plugins={"block": []}, **where), group="deriva_ml", name="open")
        """,
    )

    menu = configured("--info", "deriva_ml=lab")
    refused = configured("--cfg", "job", "deriva_ml=lab", "datasets=from_plugin")
    listed = json.loads(configured("--plugins", "--json", "deriva_ml=lab").stdout)

    assert (menu.returncode, "from_plugin" in menu.stdout) == (0, False)
    assert (refused.returncode, "from_plugin" in refused.stderr) == (2, True)
    assert [one["status"] for one in listed if one["name"] == "acme"] == ["blocked"]
    assert configured("--cfg", "job", "deriva_ml=open", "datasets=from_plugin").returncode == 0
    assert configured("--cfg", "job", "deriva_ml=lab", "plugins.block=[]", "datasets=from_plugin").returncode == 0


def test_a_broken_plugin_is_told_of_once(install, demo_project):
    """The command looks for plugins when it loads options and when it connects: one line is enough."""
    site = install("acme", "raise SystemExit('no licence')")

    result = demo_project().run("dry_run=true", PYTHONPATH=str(site))

    assert (result.returncode, result.stderr.count("failed to load")) == (0, 1), result.stderr
    assert "failed to load" not in result.stdout


def test_a_broken_plugin_that_the_configuration_blocks_is_not_heard_of(install, project, tmp_path):
    """Who has blocked it knows about it; a warning at each run would say what to do again."""
    install("acme", "raise SystemExit('no licence')")
    made = project()
    made.write(
        "src/configs/deriva.py",
        """
        from hydra_zen import builds, store
        from deriva_ml import DerivaMLConfig
        conf = builds(DerivaMLConfig, hostname="local", catalog_id="demo", plugins={"block": ["acme"]})
        store(conf, group="deriva_ml", name="default_deriva")
        """,
    )

    result = made.run("--info", PYTHONPATH=str(tmp_path / "site-packages"))

    assert (result.returncode, result.stderr) == (0, "")


def test_options_of_the_project_win_over_those_of_a_plugin(configured, configured_project):
    """Of one name: what a project has chosen must not change by installing something."""
    configured_project.write(
        "src/configs/own.py",
        """
        from hydra_zen import store
        from deriva_ml.execution import multirun_config
        store(["1-OWN"], group="datasets", name="from_plugin")
        multirun_config("from_plugin", ["dry_run=true,false"], "The project's own")
        """,
    )

    composed = configured("datasets=from_plugin", "--cfg", "job")

    assert (composed.returncode, "1-OWN" in composed.stdout) == (0, True)
    assert "The project's own" in configured("--info").stdout


def test_the_list_of_plugins_says_what_a_run_here_would_have(configured):
    """Name, distribution, version, hooks and status, for people and for programs."""
    shown = configured("--plugins")
    document = {one["name"]: one for one in json.loads(configured("--plugins", "--json").stdout)}
    blocked = {one["name"]: one for one in json.loads(configured("--plugins", "--json", "plugins.block=[acme]").stdout)}

    assert shown.stdout.splitlines()[0].split() == ["NAME", "DISTRIBUTION", "VERSION", "STATUS", "HOOKS"]
    assert document["acme"]["hooks"] == ["deriva_config_modules"]
    assert (document["acme"]["version"], document["acme"]["status"]) == ("1.2", "active")
    assert document["hatrac"]["version"]
    assert blocked["acme"]["status"] == "blocked"


def test_a_named_plugin_that_is_broken_stops_the_run_with_exit_code_2(install, demo_project, demo_rows):
    """Nothing has been written; the line says what to do."""
    site = install("acme", "import no_such_module_anywhere", name="acme-s3")

    result = demo_project().run("plugins.load=[acme]", PYTHONPATH=str(site))

    assert result.returncode == 2
    assert "plugin acme (acme-s3 1.2) failed to load: ModuleNotFoundError" in result.stderr.splitlines()[-1]
    assert all("sentinel" in row["Description"] for row in demo_rows("Execution"))
