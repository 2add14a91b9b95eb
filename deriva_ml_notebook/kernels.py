"""The kernel of a run: this very environment, through a specification of its own, or one that the user names."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deriva_ml_core.errors import DerivaMLConfigurationError, nearest

OWN_NAME = "deriva-ml-run"
_NEEDED = "import deriva_ml.execution, ipykernel"
_LOOK_S = 60.0


@dataclass(frozen=True, slots=True)
class Kernel:
    """
    What to start a notebook with.

    Args:
        name: of the specification.
        folders: where specifications are looked for; the user's where None.
    """

    name: str
    folders: tuple[Path, ...] | None = None

    def manager(self, folder: Path) -> Any:
        """
        A jupyter_client manager that starts it.

        It talks to the kernel through files of this user's, not through ports that any user of the host may reach, and
        that two kernels which start at once may both be given.

        Args:
            folder: for those files; its path is short, as the names of sockets are limited to 107 bytes (unix(7)).
        """
        from jupyter_client.manager import AsyncKernelManager

        return AsyncKernelManager(
            kernel_name=self.name,
            kernel_spec_manager=_specifications(self.folders),
            transport="ipc",
            connection_file=str(folder / "kernel.json"),
        )


def _specifications(folders: Sequence[Path] | None = None) -> Any:
    """Of these folders, or of all that Jupyter looks in; IPython's own is left out, to look there would make it."""
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_core.paths import jupyter_path

    return KernelSpecManager(kernel_dirs=[str(folder) for folder in folders or jupyter_path("kernels")])


def own_kernel(folder: Path) -> Kernel:
    """
    This interpreter as a kernel; its specification is written below a folder of the run's, not among the user's.

    A name such as python3 will not do: the user may have given it to another environment.
    """
    spec = {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": f"Python ({Path(sys.prefix).name})",
        "language": "python",
    }
    place = folder / "kernels" / OWN_NAME
    place.mkdir(parents=True, exist_ok=True)
    (place / "kernel.json").write_text(json.dumps(spec))
    return Kernel(OWN_NAME, (folder / "kernels",))


def named_kernel(name: str) -> Kernel:
    """
    A kernel of the user's, after deriva_ml has been imported by its interpreter.

    Raises:
        DerivaMLConfigurationError: there is none of that name, it is not Python's, or it can't import deriva_ml.
    """
    specs = _specifications().get_all_specs()
    if name not in specs:
        known = "; ".join(f"{one} ({spec['spec']['display_name']})" for one, spec in sorted(specs.items())) or "none"
        raise DerivaMLConfigurationError(
            f"Kernel not found: {name!r}{nearest(name, specs)} (kernels: {known}); without --kernel the notebook runs "
            "in this environment, and deriva-ml-install-kernel makes a kernel of it"
        )
    _require_deriva_ml(name, specs[name]["spec"])
    return Kernel(name)


def _require_deriva_ml(name: str, spec: dict[str, Any]) -> None:
    language, argv = str(spec.get("language", "")), [str(word) for word in spec.get("argv", ())]
    if language.lower() != "python" or not argv:
        raise DerivaMLConfigurationError(f"kernel {name!r} is one of {language or 'no language'}, not of Python")
    # As jupyter_client does when it starts one: a bare `python` is the interpreter that asks.
    python = sys.executable if re.fullmatch(r"python(3(\.\d+)?)?", argv[0]) else argv[0]
    try:
        done = subprocess.run(
            [python, "-c", _NEEDED],
            env=os.environ | dict(spec.get("env") or {}),
            capture_output=True,
            text=True,
            timeout=_LOOK_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as err:
        raise DerivaMLConfigurationError(f"kernel {name!r} can't be started: {err}") from err
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise DerivaMLConfigurationError(
            f"kernel {name!r} ({python}) can't import deriva_ml: {reason}; install deriva-ml[notebook] there"
        )


# --- a kernel that stays ------------------------------------------------------------------------------------------


def install_kernel(
    *, name: str | None = None, display_name: str | None = None, local: bool = False
) -> tuple[str, Path]:
    """
    Register this environment as a kernel.

    Args:
        name: the environment's own name where None.
        display_name: what Jupyter shows.
        local: in the environment itself; otherwise among the user's kernels.

    Returns:
        The kernel's name, and the folder of its specification.

    Raises:
        DerivaMLConfigurationError: it can't be a kernel's name, or the folder can't be written.
    """
    from ipykernel.kernelspec import install

    chosen = name or kernel_name(environment_name())
    if not re.fullmatch(r"[A-Za-z0-9._-]+", chosen):
        raise DerivaMLConfigurationError(f"{chosen!r} can't be a kernel's name: use letters, digits, '.', '_' and '-'")
    place = {"prefix": sys.prefix} if local else {"user": True}
    try:
        made = install(kernel_name=chosen, display_name=display_name or f"Python ({environment_name()})", **place)
    except OSError as err:
        raise DerivaMLConfigurationError(f"kernel {chosen!r} can't be written: {err}") from err
    return chosen, Path(made)


def environment_name() -> str:
    """The environment's name: its prompt, else its folder's; `.venv` has that of the folder around it."""
    prefix = Path(sys.prefix)
    try:
        text = (prefix / "pyvenv.cfg").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):  # no virtual environment: conda's, or the system's own
        text = ""
    prompt = re.search(r"^\s*prompt\s*=\s*(.+?)\s*$", text, re.MULTILINE)
    if prompt:
        return prompt[1].strip("'\"()")
    return prefix.parent.name if prefix.name.startswith(".") else prefix.name


def kernel_name(environment: str) -> str:
    """A kernel's name from an environment's (COMPAT section 1.3)."""
    return re.sub(r"[^a-z0-9._-]+", "-", environment.lower()).strip("-") or OWN_NAME
