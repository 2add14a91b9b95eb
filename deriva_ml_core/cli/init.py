"""deriva-ml-init: make a project in the standard layout; with --demo, one that runs at once on a catalog of its own."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from deriva_ml_core.cli.main import ArgumentParser, add_common_options, run_parsed
from deriva_ml_core.errors import DerivaMLConfigurationError

if TYPE_CHECKING:
    from deriva_ml_core.projects.demo import Catalogs

DEMO_FOLDER = "digits"
_EPILOG = """\
examples:
  deriva-ml-init --demo digits        project, catalog, 1,797 images, and a first recorded run
  deriva-ml-init my-project           a project for your own catalog
  deriva-ml-init my-project --host www.example.org --catalog 12
  deriva-ml-init --plugin my-plugin   a plugin of deriva-ml, with tests that pass
"""


def build_parser() -> ArgumentParser:
    """The command line."""
    parser = ArgumentParser(
        prog="deriva-ml-init",
        description="Make a project: configuration, models, notebooks, a git repository with a first commit.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", nargs="?", metavar="DIR", help="the new folder; its name is the project's name")
    parser.add_argument(
        "--demo", action="store_true", help="load scikit-learn's digits into a new catalog and run a model"
    )
    parser.add_argument("--plugin", action="store_true", help="make a plugin of deriva-ml, with tests that pass")
    parser.add_argument("--host", help="server of your catalog (default: a placeholder in src/configs/deriva.py)")
    parser.add_argument("--catalog", help="id or name of your catalog")
    add_common_options(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code (0 made, 1 a tool or the demo's run failed, 2 wrong input, nothing made)."""
    return run_parsed(build_parser, _init, argv)


def _init(args: argparse.Namespace) -> int:
    folder = _folder(args)
    say = (lambda _: None) if args.quiet else _say
    if args.demo:
        from deriva_ml_core.projects.demo import create_demo, next_steps

        create_demo(folder, _catalogs(), say, quiet=args.quiet)
        say("\n" + next_steps(_shown(folder)))
        return 0
    if args.plugin:
        return _init_plugin(folder, say)
    from deriva_ml_core.projects.creation import PLACEHOLDER_CATALOG, PLACEHOLDER_HOST, NewProject, create_project

    project = NewProject(folder, hostname=args.host or PLACEHOLDER_HOST, catalog=args.catalog or PLACEHOLDER_CATALOG)
    create_project(project)
    say(_made(project.name, _shown(folder), placeholder=not args.host))
    return 0


def _init_plugin(folder: Path, say: Callable[[str], None]) -> int:
    from deriva_ml_core.projects.creation import PLUGIN, NewProject, create_project

    project = NewProject(folder, PLUGIN, summary="A plugin of deriva-ml")
    if not project.name.replace("-", "_").isidentifier():
        raise DerivaMLConfigurationError(
            f"{folder.name!r} can't be the name of a plugin: its module would be no Python name"
        )
    create_project(project)
    say(_made_plugin(project.name, _shown(folder)))
    return 0


def _folder(args: argparse.Namespace) -> Path:
    if args.plugin and (args.demo or args.host or args.catalog):
        raise DerivaMLConfigurationError("--plugin needs no catalog: leave --demo, --host and --catalog out")
    if args.demo and (args.host or args.catalog):
        raise DerivaMLConfigurationError("--demo makes a catalog of its own: leave --host and --catalog out")
    if args.catalog and not args.host:
        raise DerivaMLConfigurationError("--catalog needs --host: the server that it is on (local is the embedded one)")
    name = args.folder if args.folder is not None else DEMO_FOLDER if args.demo else None
    if not name or not name.strip():
        raise DerivaMLConfigurationError("which folder? Type `deriva-ml-init DIR`, or `deriva-ml-init --demo digits`")
    try:
        return Path(name).expanduser().absolute().resolve()
    except (OSError, RuntimeError, ValueError) as err:  # a name that no file system takes
        raise DerivaMLConfigurationError(f"{name!r} can't be the name of a folder: {err}") from err


def _catalogs() -> Catalogs:
    """The embedded catalogs, for the demo; it may not import their room itself."""
    from deriva_ml_core.connection.local import default_root
    from deriva_ml_core.local_catalog.administration import delete_catalog, list_catalogs
    from deriva_ml_core.local_catalog.root import Root
    from deriva_ml_core.projects.demo import Catalogs

    def names() -> list[str]:
        if not default_root().exists():
            return []
        with Root(default_root(), create=False) as root:
            return [name for catalog in list_catalogs(root) for name in catalog.names]

    def delete(name: str) -> None:
        with Root(default_root(), create=False) as root:
            delete_catalog(root, name)

    return Catalogs(names, delete)


def _shown(folder: Path) -> Path:
    """The folder as the user would type it."""
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


def _made(name: str, folder: Path, *, placeholder: bool) -> str:
    first = "# say where your catalog is" if placeholder else "# your catalog"
    return f"""\
Made the project {name} in {folder}. What to do next:

    cd {folder}
    $EDITOR src/configs/deriva.py            {first}
    uv run deriva-ml-run --info              # what there is to choose from
    uv run deriva-ml-run dry_run=true        # what a run would do
    git commit -am "My first model"
    uv run deriva-ml-run

No catalog yet? README.md there says how to make one on your own disk."""


def _made_plugin(name: str, folder: Path) -> str:
    return f"""\
Made the plugin {name} in {folder}. What to do next:

    cd {folder}
    uv run pytest                            # its tests, on an embedded catalog of their own
    uv run deriva-ml-run --plugins           # deriva-ml finds it
    $EDITOR src/{name.replace("-", "_")}/__init__.py

To use it, in the folder of a project: uv add --editable {shlex.quote(str(folder.absolute()))}"""


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
