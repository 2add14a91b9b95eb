"""
Install the deriva-ml schema into a catalog: the tables in one request, then terms and sentinels.

Safe to repeat: what is there stays, missing terms and sentinels are added.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from deriva_ml_core.errors import DerivaMLSchemaError
from deriva_ml_core.schema import annotations as shows
from deriva_ml_core.schema import terms
from deriva_ml_core.schema.definition import DEFAULT_CURIE_PREFIX, ml_schema
from deriva_ml_core.schema.generations import ML_SCHEMA, detect_generation
from deriva_ml_core.schema.ports import CatalogPort


@dataclass(frozen=True, slots=True)
class Installation:
    """What an installation did: whether it made the schema, and how many terms it added."""

    created: bool
    terms_added: int


def install_schema(session: CatalogPort, *, curie_prefix: str = DEFAULT_CURIE_PREFIX) -> Installation:
    """
    Install the schema, or complete the terms of one that is there.

    Args:
        session: a catalog that we may change.
        curie_prefix: project name, which stands before the colon in the IDs of terms.

    Raises:
        DerivaMLSchemaError: the catalog has an older deriva-ml schema, or tables of that name that are something else.
    """
    present = session.get_json("/schema")
    if ML_SCHEMA in present["schemas"]:
        _require_newest(present, session)
        created = False
    else:
        session.post_json("/schema", {"schemas": {ML_SCHEMA: ml_schema(curie_prefix=curie_prefix).document()}})
        created = True
    _annotate_catalog(session, present.get("annotations", {}))
    added = sum(_add_terms(session, vocabulary) for vocabulary in terms.VOCABULARY_TERMS)
    _add_sentinels(session)
    session.forget_model()
    return Installation(created, added)


def _require_newest(document: Mapping[str, Any], session: CatalogPort) -> None:
    tables = document["schemas"][ML_SCHEMA]["tables"]
    columns = {name: [c["name"] for c in table["column_definitions"]] for name, table in tables.items()}
    generation = detect_generation(columns)
    if generation is None or generation.name != "1.54":
        found = f"an older one ({generation.name})" if generation else "one without an Execution table that we know"
        raise DerivaMLSchemaError(
            f"catalog {session.catalog_id} of {session.hostname} has a schema '{ML_SCHEMA}' already, {found}: "
            "it is left as it is (runs work with generation 1.24, too)"
        )


def _annotate_catalog(session: CatalogPort, present: Mapping[str, Any]) -> None:
    """Chaise's settings, where the catalog has none of its own."""
    for tag, value in shows.catalog().items():
        if tag not in present:
            session.put_json(f"/annotation/{quote(tag, safe='')}", value)


def _add_terms(session: CatalogPort, vocabulary: str) -> int:
    """Add the terms that are not there, in one request; how many those were."""
    rows = [term.row() for term in terms.VOCABULARY_TERMS[vocabulary]]
    if not rows:
        return 0
    path = f"/entity/{ML_SCHEMA}:{vocabulary}?defaults=ID,URI&onconflict=skip"
    return len(session.post_json(path, rows) or [])


def _add_sentinels(session: CatalogPort) -> None:
    """The workflow, file and execution that stand for what nobody recorded (COMPAT §13)."""
    if not session.get_json(f"/entity/{ML_SCHEMA}:Workflow/URL={quote(terms.UNKNOWN_WORKFLOW_URL, safe='')}"):
        workflow = session.post_json(f"/entity/{ML_SCHEMA}:Workflow", [_unknown_workflow()])[0]
        session.post_json(
            f"/entity/{ML_SCHEMA}:Execution",
            [
                {
                    "Workflow": workflow["RID"],
                    "Description": terms.UNKNOWN_EXECUTION_DESCRIPTION,
                    "Status": "Aborted",
                }
            ],
        )
    session.post_json(f"/entity/{ML_SCHEMA}:File?onconflict=skip", [_unknown_file()])


def _unknown_workflow() -> dict[str, Any]:
    return {
        "Name": "Unknown provenance",
        "Description": "Stands for a program that nobody recorded",
        "URL": terms.UNKNOWN_WORKFLOW_URL,
        "Checksum": None,
        "Version": None,
    }


def _unknown_file() -> dict[str, Any]:
    return {
        "URL": terms.UNKNOWN_FILE_URL,
        "Filename": None,
        "Description": "Stands for inputs that nobody recorded",
        "Length": 0,
        "MD5": hashlib.md5(b"", usedforsecurity=False).hexdigest(),
    }
