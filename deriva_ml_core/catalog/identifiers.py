"""
MINIDs: names of files that outlast their addresses, registered at the FAIR Research identifier service.

deriva's exports register there by the same login. The service's client, fair-identifiers-client, needs distutils, which
Python has had no longer since 3.12: its one request is made here by globus_sdk, which that client is made of. deriva
requires both globus_sdk and fair_research_login.

Source: IdentifierClient.create_identifier of fair-identifiers-client 0.5.1.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from deriva_ml_core.catalog.http import LOOPBACK
from deriva_ml_core.errors import CatalogUnreachable, DerivaMLAuthenticationError, DerivaMLException

NAMESPACE_VARIABLE = "DERIVA_ML_MINID_NAMESPACE"
NAMESPACE = "https://identifiers.fair-research.org/namespace/minid"
_SCOPE = "https://auth.globus.org/scopes/identifiers.fair-research.org/writer"
_LOGIN = f"`deriva-globus-auth-utils login --refresh --requested-scopes {_SCOPE}`"
_LOGIN_FILE = Path("~/.deriva/globus-credential.json")  # deriva's
_TIMEOUT_S = 60.0


def register_minid(location: str, *, sha256: str, size_bytes: int, title: str) -> str:
    """
    A new MINID that leads to a file, for everybody to see; asked twice, it makes two.

    Args:
        location: URL of the file.
        sha256: lower-case hex.

    Raises:
        DerivaMLAuthenticationError: no login for the service.
        CatalogUnreachable: the service does not answer. DerivaMLException: it refuses.
    """
    namespace = os.environ.get(NAMESPACE_VARIABLE, NAMESPACE).rstrip("/")
    parts = urlsplit(namespace)
    if parts.scheme != "https" and parts.hostname not in LOOPBACK:
        raise DerivaMLException(f"{NAMESPACE_VARIABLE} is {namespace!r}: a login travels to https:// only")
    token = _token()
    from globus_sdk import AccessTokenAuthorizer, BaseClient, GlobusAPIError, GlobusError

    client = BaseClient(
        base_url=namespace,
        authorizer=AccessTokenAuthorizer(token),
        app_name="deriva-ml",
        transport_params={"http_timeout": _TIMEOUT_S, "max_retries": 0},  # a repeated request might make a second one
    )
    body = {
        "location": [location],
        "checksums": [{"function": "sha256", "value": sha256}],
        "metadata": {"title": title, "length": size_bytes},
        "visible_to": ["public"],
    }
    try:
        return str(client.post("identifier", data=body)["identifier"])
    except GlobusAPIError as err:
        if err.http_status in (401, 403):
            raise DerivaMLAuthenticationError(f"{parts.hostname} refuses your login: {_LOGIN} makes another") from err
        raise DerivaMLException(f"{parts.hostname} refused it: {err.http_status} {err.message}") from err
    except GlobusError as err:
        raise CatalogUnreachable(f"{parts.hostname} does not answer: {err}", url=namespace) from err
    except (KeyError, TypeError) as err:
        raise DerivaMLException(f"{parts.hostname} gave no identifier in its answer") from err
    finally:
        client.transport.session.close()


def _token() -> str:
    """The login of deriva's for the service, refreshed where it can be."""
    file = _LOGIN_FILE.expanduser()
    none = f"no login for the identifier service: {_LOGIN} makes one"
    if not file.is_file():
        raise DerivaMLAuthenticationError(none)
    from deriva.core.utils.globus_auth_utils import NATIVE_APP_CLIENT_ID, DerivaJSONTokenStorage
    from fair_research_login.client import LoadError, NativeClient
    from globus_sdk import GlobusError

    logins = NativeClient(client_id=NATIVE_APP_CLIENT_ID, token_storage=DerivaJSONTokenStorage(str(file)))
    try:
        return str(logins.load_tokens_by_scope([_SCOPE])[_SCOPE]["access_token"])
    except (LoadError, KeyError, ValueError) as err:
        raise DerivaMLAuthenticationError(none) from err
    except GlobusError as err:
        raise CatalogUnreachable(f"the login for the identifier service can't be refreshed: {err}") from err
