"""GET of the data resources: entity, attribute, attributegroup and aggregate."""

from __future__ import annotations

from deriva_ml_core.local_catalog.auth import Client
from deriva_ml_core.local_catalog.ermrest.answers import Answer
from deriva_ml_core.local_catalog.ermrest.storage import View
from deriva_ml_core.local_catalog.ermrest.urlgrammar import Api


def get(view: View, client: Client, api: Api, raw_path: str, raw_query: str, accept: str) -> Answer:
    """
    The rows that a data URL names.

    Args:
        view: the snapshot to read; the answer's body reads from it, so keep it open until the body is read.
        raw_path: what follows `/entity/` (or another api), still escaped, without the query string.
        raw_query: the query string, still escaped, without `?`.
        accept: the Accept header, "" if there is none.

    Raises:
        BadRequest, Conflict: the URL is malformed, or names what is not there.
        Unauthorized, Forbidden: the client may not read it.
    """
    raise NotImplementedError
