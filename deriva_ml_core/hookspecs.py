"""
Every hook of deriva-ml: the manual for people who write plugins.

A plugin is a module (or an object, or a class that is made without arguments) whose functions are marked:

    from deriva_ml.plugins import AssetRef, Fetched, hookimpl

    @hookimpl
    def deriva_fetch_asset(asset: AssetRef, target: Path) -> Fetched | None: ...

An implementation takes those of a hook's arguments that it needs, by name. It is found by an entry point of the group
`deriva_ml`, or named in `deriva_ml.plugins` of the configuration (`package.module` or `package.module:attribute`).

**Where.** Each process loads its plugins for itself: the one that was started, a joblib worker, a SLURM job. A plugin
can't keep state from one to the other. Hooks that move bytes are called in several threads at once. A sweep's parent is
an execution too: observers hear of it in the process that launches the sweep.

**Who wins.** Hooks marked *first result* ask one plugin after the other until one returns something else than None:
first those named in the configuration, then those of entry points, then the built-in. All others ask every plugin,
the built-in first. Wrappers (`hookimpl(wrapper=True)`) are for first-result hooks only.

**What an exception does.** Said at each hook. Three kinds: *stops the run* (before anything is written), *fails the
file* (and so the execution, whose outputs stay on disk), *is reported* (a warning that names the plugin; the run does
not change).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pluggy

from deriva_ml_core.hookvalues import (
    AssetRef,
    Catalog,
    ChildEnd,
    Claim,
    CommittedOutput,
    ExecutionFacts,
    Fetched,
    InputFile,
    MetadataDocument,
    NewTable,
    NewTerm,
    OutputFile,
    Prepared,
    Progress,
    RedactionRules,
    Reporter,
    StoredObject,
    Subcommand,
    SweepOutline,
    Transfer,
)

PROJECT = "deriva_ml"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


# --- assets -----------------------------------------------------------------------------------------------------------


@hookspec(firstresult=True)
def deriva_fetch_asset(asset: AssetRef, target: Path, progress: Progress, catalog: Catalog) -> Fetched | None:
    """
    *First result:* bring the bytes of one object to disk.

    Called once for each object that is not in the cache (input assets, and the files of datasets), before the model,
    in the process that runs it; in several threads. Size and checksum are held against the record afterwards.

    Args:
        target: write here, or beside it and rename; its folder is there.
        progress: call it with the size of each block.

    Returns:
        None where the URL is not this plugin's.

    An exception fails the file: the execution is Failed before its model starts.
    """


@hookspec(firstresult=True)
def deriva_store_asset(output: OutputFile, transfer: Transfer, catalog: Catalog) -> StoredObject | None:
    """
    *First result:* put the bytes of one output into a store; where a plugin claims the output, only that one is asked.

    Called when outputs are committed, once for each file whose bytes are not stored yet, in the process that ran the
    model or in a later `deriva-ml-executions upload`; in several threads. May be called again for the same file after
    a crash, and must then give the same URL.

    Returns:
        None where this plugin does not store this output.

    An exception fails the file: it stays on disk for a later command. CatalogUnreachable is tried again first.
    """


@hookspec
def deriva_prepare_output(output: OutputFile, folder: Path, catalog: Catalog) -> Prepared | None:
    """
    Look at an output before it is stored: fill columns, add types, make further outputs, or refuse it.

    Called when outputs are committed, once for each state of a file, before anything is sent; in several threads.
    Metadata files and the further outputs of plugins are not prepared. All plugins are asked, the built-in first; of
    two who fill one column the later wins, and what the model gave itself wins over both.

    Args:
        folder: an empty folder of this plugin and file, for further outputs; removed when all is uploaded.

    Returns:
        None where there is nothing to say.

    An exception fails the file, as a refusal does: it stays on disk, and the execution is Failed with the reason.
    """


@hookspec
def deriva_claim_assets() -> Sequence[Claim] | None:
    """
    Say which asset tables, asset types and schemes of URLs are this plugin's own.

    Called once in each process that needs to know, before anything is written. Two plugins that claim to store the
    same stop the run. An exception stops the run.
    """


# --- the record -------------------------------------------------------------------------------------------------------


@hookspec
def deriva_environment_facts(environment: Mapping[str, str]) -> Mapping[str, Any] | None:
    """
    Add facts to the environment snapshot of an execution, as a JSON document; it is redacted.

    Called once for each execution, after its inputs were checked, in the process that runs it. A key that another
    plugin has said before (the built-in is first) stays; the later fact is recorded as "<plugin>.<key>".

    Args:
        environment: the variables of the process, all of them: choose what is recorded.

    An exception is reported, and is a fact of the snapshot.
    """


@hookspec
def deriva_metadata_files(execution: ExecutionFacts) -> Sequence[MetadataDocument] | None:
    """
    Add metadata files to an execution.

    Called once for each execution, when it has its record and before its inputs are fetched, in the process that runs
    it. An exception is reported, and the files of this plugin are left out.
    """


@hookspec
def deriva_allowed_variables() -> Sequence[str] | None:
    """
    Name more environment variables that may be recorded, by shell patterns: "ACME_*".

    Called once for each execution, in the process that runs it. A variable that is named like a secret is redacted all
    the same. An exception is reported.
    """


@hookspec
def deriva_redaction_rules() -> RedactionRules | None:
    """
    Say what else is secret and must never be recorded.

    Called in every process that records something, before it does. An exception, or a pattern that is no regular
    expression, stops the run: a secret that slips through can't be taken back.
    """


# --- what happens -----------------------------------------------------------------------------------------------------


@hookspec
def deriva_execution_opened(execution: ExecutionFacts) -> None:
    """
    Hear that an execution has its record; its inputs are not there yet.

    Called in the process that runs it; not in a dry run. An exception is reported.
    """


@hookspec
def deriva_inputs_ready(execution: ExecutionFacts, assets: Sequence[InputFile], datasets: Sequence[str]) -> None:
    """
    Hear that all inputs are on disk; the model starts next.

    Called in the process that runs it, also where there are no inputs; not in a dry run. An exception is reported.

    Args:
        datasets: "RID@version" each.
    """


@hookspec
def deriva_model_finished(execution: ExecutionFacts) -> None:
    """
    Hear that the model came to its end; its outputs are on disk, not yet in the catalog.

    Called in the process that ran it. An exception is reported.
    """


@hookspec
def deriva_outputs_committed(execution: ExecutionFacts, outputs: Sequence[CommittedOutput]) -> None:
    """
    Hear that outputs are in the catalog.

    Called after each commit that brought some, in the process that ran the model or in a later
    `deriva-ml-executions upload`. The metadata files that are stored before the model starts are no outputs. An
    exception is reported.
    """


@hookspec
def deriva_execution_ended(execution: ExecutionFacts, error: str | None) -> None:
    """
    Hear how an execution ended: Uploaded, Failed or Aborted, or Pending_Upload where outputs wait for a later command.

    Called once, in the process that ran it; not for one that was killed, whose end others record. An exception is
    reported.

    Args:
        error: "Type: message" without secrets; None where it ended well.
    """


@hookspec
def deriva_sweep_opened(sweep: SweepOutline) -> None:
    """
    Hear that a sweep has its parent execution; no job runs yet.

    Called in the process that launches it, after deriva_execution_opened of the parent. An exception is reported.
    """


@hookspec
def deriva_sweep_ended(sweep: SweepOutline, status: str, detail: str | None, children: Sequence[ChildEnd]) -> None:
    """
    Hear how a sweep ended.

    Called in the process that launched it, when every child has its end, or may still run where the launching process
    was told to end. An exception is reported.
    """


@hookspec(firstresult=True)
def deriva_make_reporter() -> Reporter | None:
    """
    *First result:* make what tells a person how a run goes on.

    Called once for each run or sweep in the process that runs or launches it; not with `-q`. An exception is reported,
    and the built-in console is used.
    """


# --- catalogs, configuration, commands --------------------------------------------------------------------------------


@hookspec
def deriva_catalog_tables() -> Sequence[NewTable] | None:
    """
    Name tables that a catalog needs for this plugin; those that are there stay as they are.

    Called by `deriva-ml-catalog schema install` and `create --schema`, after the deriva-ml schema is there. An
    exception ends the command; the tables of plugins before it have been made, and the command may be repeated.
    """


@hookspec
def deriva_vocabulary_terms() -> Sequence[NewTerm] | None:
    """
    Name terms that vocabularies of the catalog need for this plugin; those that are there stay.

    Called by the same commands, after deriva_catalog_tables. An exception ends the command.
    """


@hookspec
def deriva_config_modules() -> Sequence[str] | None:
    """
    Name modules that register options with hydra-zen's store when they are imported.

    Called when a project's configuration is loaded, after the project's own modules, whose options win; only of
    plugins found by entry points. A plugin that the configuration or the command line blocks is not loaded: the
    configuration is composed without the plugins' options to find that out, or, where it chooses some of these, its
    chosen connection alone. An exception ends the command with exit code 2: a PluginError, of a module a
    ConfigModuleError.
    """


@hookspec
def deriva_subcommands() -> Sequence[Subcommand] | None:
    """
    Add actions to the commands deriva-ml-catalog and deriva-ml-executions; those of deriva-ml itself win.

    Called where the command is asked for an action that it does not have itself, or for its help. An exception is
    reported.
    """
