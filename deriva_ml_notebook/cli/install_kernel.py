"""deriva-ml-install-kernel: register this environment as a Jupyter kernel."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from deriva_ml_core.cli.main import ArgumentParser, add_common_options, run_parsed

PROGRAM = "deriva-ml-install-kernel"


def build_parser() -> ArgumentParser:
    """The options of deriva-ml-install-kernel."""
    parser = ArgumentParser(
        prog=PROGRAM,
        description="Register this environment as a Jupyter kernel, so that JupyterLab and --kernel can choose it.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--install-local", action="store_true", help="in this environment, instead of among the user's kernels"
    )
    parser.add_argument("--name", metavar="NAME", help="of the kernel; without it the environment's")
    parser.add_argument("--display-name", metavar="TEXT", help="what Jupyter shows")
    add_common_options(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    return run_parsed(build_parser, _install, argv)


def _install(options: argparse.Namespace) -> int:
    from deriva_ml_notebook.cli.run_notebook import require_extra

    require_extra()
    from deriva_ml_notebook.kernels import environment_name, install_kernel

    name, folder = install_kernel(name=options.name, display_name=options.display_name, local=options.install_local)
    if not options.quiet:
        shown = options.display_name or f"Python ({environment_name()})"
        print(f"Kernel {name} ({shown}) of {sys.prefix} is in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
