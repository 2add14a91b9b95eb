"""What a run ran on: packages, Python, machine, GPU, container, scheduler, and the variables that matter.

Environment variables are recorded by an allow-list (`ALLOWED_VARIABLES`): what is not named there is not recorded,
and what is named like a secret is redacted even if a pattern lets it in (SLURM_JWT, say).
"""

from __future__ import annotations

import fnmatch
import getpass
import importlib.metadata
import json
import os
import platform
import shutil
import site
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from deriva_ml_core.executions.owner import slurm_facts
from deriva_ml_core.hookspecs import hookimpl

# Shell patterns of names. What changes the result of a run, or says where it ran; nothing that holds an account.
ALLOWED_VARIABLES = (
    "CONDA_DEFAULT_ENV",
    "CONDA_PREFIX",
    "CUDA_*",
    "CUBLAS_*",
    "CUDNN_*",
    "DERIVA_MCP_*",
    "DERIVA_ML_*",
    "GOMP_*",
    "HIP_*",
    "HYDRA_FULL_ERROR",
    "JAX_*",
    "KERAS_*",
    "KMP_*",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "LD_LIBRARY_PATH",
    "LOADEDMODULES",
    "LSB_JOBID",
    "LSB_QUEUE",
    "MALLOC_*",
    "MKL_*",
    "NCCL_*",
    "NUMBA_*",
    "NVIDIA_DRIVER_CAPABILITIES",
    "NVIDIA_VISIBLE_DEVICES",
    "OMP_*",
    "OPENBLAS_*",
    "PATH",
    "PBS_JOBID",
    "PBS_JOBNAME",
    "PBS_QUEUE",
    "PYTHON*",
    "PYTORCH_*",
    "ROCR_*",
    "SGE_TASK_ID",
    "SINGULARITY_CONTAINER",
    "SINGULARITY_NAME",
    "APPTAINER_CONTAINER",
    "APPTAINER_NAME",
    "SLURM_*",
    "SOURCE_DATE_EPOCH",
    "TF_CPP_*",
    "TF_CUDNN_*",
    "TF_DETERMINISTIC_OPS",
    "TF_ENABLE_*",
    "TF_FORCE_*",
    "TF_GPU_*",
    "TF_NUM_*",
    "TF_USE_*",
    "TF_XLA_FLAGS",
    "TORCH_*",
    "TZ",
    "UV_PYTHON",
    "VECLIB_*",
    "VIRTUAL_ENV",
    "XLA_*",
)
_NVIDIA_TIMEOUT_S = 10.0
_CONTAINER_MARKS = {"/.dockerenv": "docker", "/run/.containerenv": "podman"}


@hookimpl
def deriva_environment_facts(environment: Mapping[str, str]) -> dict[str, Any]:
    """The built-in collector."""
    return snapshot(environment)


def snapshot(env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """
    Facts about this process and its machine, as a JSON document; not yet redacted.

    Args:
        env: environment variables; the process's own where None.

    Returns:
        Keys imports (package -> version), os, sys, sys_path, site, platform, gpu, and our own container, scheduler,
        sources (packages that did not come from a registry -> where from).

    Source: COMPAT.md section 12.
    """
    variables = os.environ if env is None else env
    versions, sources = packages()
    return {
        "imports": versions,
        "sources": sources,
        "os": _os_facts(variables),
        "sys": _python_facts(),
        "sys_path": list(sys.path),
        "site": {"prefix": sys.prefix, "base_prefix": sys.base_prefix, "packages": site.getsitepackages()},
        "platform": _platform_facts(),
        "gpu": _gpu_facts(),
        "container": _container_facts(variables),
        "scheduler": _scheduler_facts(variables),
    }


def allowed_variables(env: Mapping[str, str], more: Iterable[str] = ()) -> dict[str, str]:
    """The variables that may be recorded, in alphabetical order; `more` are further patterns."""
    patterns = (*ALLOWED_VARIABLES, *more)
    return {name: env[name] for name in sorted(env) if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)}


def packages() -> tuple[dict[str, str], dict[str, str]]:
    """
    Installed distributions, by the names of their folders: reading 100 metadata files costs 30 times as much.

    Returns:
        Name -> version of all, and name -> origin (a repository and commit, a folder) of those with a direct_url.json.
    """
    versions: dict[str, str] = {}
    sources: dict[str, str] = {}
    for folder in sys.path:
        with suppress(OSError), os.scandir(folder or ".") as entries:
            for entry in entries:
                name, version = _distribution(entry.name)
                if name and name not in versions:  # the first on the path is the one that imports find
                    versions[name] = version or _read_version(name)
                    if origin := _origin(Path(entry.path)):
                        sources[name] = origin
    return dict(sorted(versions.items())), dict(sorted(sources.items()))


def _distribution(folder_name: str) -> tuple[str, str]:
    """Name and version in `name-version.dist-info`; an egg-info folder may hold no version."""
    stem, dot, suffix = folder_name.rpartition(".")
    if not dot or suffix not in ("dist-info", "egg-info"):
        return "", ""
    name, _, rest = stem.partition("-")
    return name.replace("_", "-").lower(), rest.split("-py")[0]


def _read_version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _origin(folder: Path) -> str:
    """Where a distribution came from, if not from a registry (PEP 610)."""
    try:
        document = json.loads((folder / "direct_url.json").read_text(encoding="utf-8"))
        url, commit = document["url"], document.get("vcs_info", {}).get("commit_id")
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return ""
    return f"{url}@{commit}" if commit else str(url)


def _os_facts(env: Mapping[str, str]) -> dict[str, Any]:
    return {
        "cwd": _or_none(os.getcwd),
        "pid": os.getpid(),
        "ppid": os.getppid(),
        "uid": os.getuid(),
        "gid": os.getgid(),
        "groups": os.getgroups(),
        "login": _or_none(getpass.getuser),
        "umask": _umask(),
        "name": os.name,
        "cpu_count": os.cpu_count(),
        "environ": allowed_variables(env),
    }


def _or_none(ask: Any) -> Any:
    try:
        return ask()
    except (OSError, KeyError):  # a deleted working folder; a user id without an account, as in many containers
        return None


def _umask() -> str | None:
    """From /proc: reading it by setting it would race with other threads that make files."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    return next((line.split()[1] for line in lines if line.startswith("Umask:")), None)


def _python_facts() -> dict[str, Any]:
    return {
        "version": sys.version,
        "version_info": list(sys.version_info),
        "implementation": sys.implementation.name,
        "executable": sys.executable,
        "argv": list(sys.argv),
        "byteorder": sys.byteorder,
        "flags": {
            name: getattr(sys.flags, name) for name in ("dev_mode", "hash_randomization", "optimize", "utf8_mode")
        },
    }


def _platform_facts() -> dict[str, Any]:
    facts = platform.uname()
    return {
        "platform": platform.platform(),
        "system": facts.system,
        "release": facts.release,
        "version": facts.version,
        "machine": facts.machine,
        "node": socket.gethostname(),
        "python_version": platform.python_version(),
        "libc": " ".join(platform.libc_ver()).strip(),
        "memory_bytes": _memory_bytes(),
    }


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None


def _gpu_facts() -> dict[str, Any]:
    facts: dict[str, Any] = {"available": False}
    if devices := _nvidia_devices():
        facts.update(available=True, devices=devices, **devices[0])
    # The model's module is imported by now; importing torch for our sake would cost seconds.
    if torch := sys.modules.get("torch"):
        facts["torch"] = _torch_facts(torch)
    return facts


def _nvidia_devices() -> list[dict[str, str]]:
    command = shutil.which("nvidia-smi")
    if command is None:
        return []
    fields = ("name", "memory.total", "driver_version")
    query = [command, f"--query-gpu={','.join(fields)}", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=_NVIDIA_TIMEOUT_S, check=True).stdout
    except (OSError, subprocess.SubprocessError):  # a driver that does not fit, a GPU that hangs: no GPU for us
        return []
    keys = [field.replace(".", "_") for field in fields]
    return [
        dict(zip(keys, map(str.strip, line.split(",")), strict=False)) for line in answer.splitlines() if line.strip()
    ]


def _torch_facts(torch: Any) -> dict[str, Any]:
    try:
        return {
            "version": str(torch.__version__),
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
            "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        }
    except (AttributeError, RuntimeError, AssertionError) as err:  # a build without CUDA, or a broken driver
        return {"error": str(err)}


def _container_facts(env: Mapping[str, str]) -> dict[str, Any]:
    if env.get("DERIVA_MCP_IN_DOCKER", "").lower() == "true":
        return {
            "kind": "docker",
            "image": env.get("DERIVA_MCP_IMAGE_NAME"),
            "digest": env.get("DERIVA_MCP_IMAGE_DIGEST"),
        }
    if image := env.get("APPTAINER_CONTAINER") or env.get("SINGULARITY_CONTAINER"):
        return {"kind": "apptainer", "image": image}
    for mark, kind in _CONTAINER_MARKS.items():
        if Path(mark).exists():
            return {"kind": kind}
    return {"kind": "kubernetes"} if "KUBERNETES_SERVICE_HOST" in env else {"kind": None}


def _scheduler_facts(env: Mapping[str, str]) -> dict[str, Any]:
    for kind, name in (("slurm", "SLURM_JOB_ID"), ("pbs", "PBS_JOBID"), ("lsf", "LSB_JOBID")):
        if name in env:
            return {"kind": kind, "job_id": env[name], **(slurm_facts(env) if kind == "slurm" else {})}
    return {"kind": None}
