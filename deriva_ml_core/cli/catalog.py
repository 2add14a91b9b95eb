"""
`deriva-ml-catalog`: the embedded catalog from the command line.

Exit codes: 0 done, 1 `check` found something wrong, 2 a wrong command (one line on standard error, nothing done).
"""

import argparse
import json
import logging
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from deriva_ml_core.cli.catalog_demo import add_demo_options, make_demo
from deriva_ml_core.cli.catalog_schema import add_schema_commands, install_schema_in
from deriva_ml_core.cli.main import completed
from deriva_ml_core.cli.plugin_commands import add_plugin_commands
from deriva_ml_core.connection.local import default_root
from deriva_ml_core.errors import DerivaMLException
from deriva_ml_core.local_catalog.errors import Refusal, RootError
from deriva_ml_core.local_catalog.root import Root

Command = Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    args = completed(build_parser(arguments)).parse_args(arguments)
    command: Command = args.command
    try:
        return command(args)
    except (RootError, Refusal) as err:
        return _fail(err.words if isinstance(err, Refusal) else str(err))
    except DerivaMLException as err:
        _fail(str(err))
        return err.exit_code
    except OSError as err:
        return _fail(f"{err.filename or args.root}: {err.strerror or err}")
    except KeyboardInterrupt:
        return 130


def build_parser(arguments: Sequence[str] = ("list",)) -> argparse.ArgumentParser:
    """The command line; actions of plugins are on it where `arguments` ask for none of ours."""
    parser = _Parser(prog="deriva-ml-catalog", description="An embedded Deriva server in a folder.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)
    creating = _add(commands, "create", _create, "make a catalog")
    creating.add_argument("name", help="its name, usable as catalog id")
    creating.add_argument("--schema", action="store_true", help="with the deriva-ml schema, ready to record runs in")
    _listing(creating)
    _listing(_add(commands, "list", _list, "show the catalogs"))
    _add(commands, "delete", _delete, "remove a catalog and its history").add_argument("name", help="its name or id")
    _serving(_add(commands, "serve", _serve, "serve the folder over HTTP until SIGTERM; with pages for a web browser"))
    _users(commands)
    add_demo_options(_add(commands, "demo", make_demo, "make a catalog of real data to try things on"))
    add_schema_commands(commands, _Parser, default_root())
    saving = _add(commands, "backup", _backup, "copy the folder, consistently, while it is in use")
    saving.add_argument("target", type=Path, help="a folder that is not there yet")
    saving.add_argument("--copy", action="store_true", help="copy objects even where hard links would do")
    restoring = _add(commands, "restore", _restore, "make a folder from a backup; overwrites nothing")
    restoring.add_argument("source", type=Path, help="the backup")
    _listing(_add(commands, "check", _check, "verify every database, every row's constraints, every object's hash"))
    for added in add_plugin_commands(parser.prog, commands, arguments):
        added.set_defaults(command=added.get_default("run"))
    return parser


class _Parser(argparse.ArgumentParser):
    """A parser whose complaint is one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(_fail(f"{message} (see {self.prog} --help)"))


def _fail(message: str) -> int:
    print(f"deriva-ml-catalog: {' '.join(message.split())}", file=sys.stderr)
    return 2


def _add(commands: Any, name: str, command: Command, description: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=description, description=description)
    parser.add_argument("--root", type=Path, default=default_root(), help="the root folder (%(default)s)")
    parser.set_defaults(command=command)
    return parser


def _listing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def _serving(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (%(default)s)")
    parser.add_argument("--port", type=_port, default=0, help="the port (a free one)")
    parser.add_argument("--tls-cert", type=Path, metavar="FILE", help="a certificate in PEM: serve HTTPS")
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="its private key in PEM")


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        message = f"{text!r} is no port: use a number from 1 to 65535, or 0 for a free one"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def _users(commands: Any) -> None:
    users = commands.add_parser("user", help="users and their tokens", description="users and their tokens")
    actions = users.add_subparsers(metavar="ACTION", required=True, parser_class=_Parser)
    adding = _add(actions, "add", _user_add, "add a user and print the token, which is not kept")
    adding.add_argument("name", help="the user's name")
    adding.add_argument("--admin", action="store_true", help="may make catalogs and do everything")
    _listing(_add(actions, "list", _user_list, "show the users"))
    _add(actions, "remove", _user_remove, "remove a user").add_argument("name", help="the user's name")


# The commands. Each imports what it needs: a command that lists should not load a server.


def _create(args: argparse.Namespace) -> int:
    from deriva_ml_core.local_catalog.administration import create_catalog

    with Root(args.root) as root:
        identity = create_catalog(root, args.name)
    if args.schema:
        install_schema_in(args.name, root=args.root)
    if args.json:
        made = {"id": identity, "names": [args.name], "hostname": "local", "root": str(args.root.absolute())}
        print(json.dumps(made, indent=2))
        return 0
    print(f"made catalog {args.name} (id {identity}) in {args.root}")
    elsewhere = "" if args.root == default_root() else f", with DERIVA_ML_LOCAL_ROOT={args.root.absolute()}"
    print(f'use it as hostname="local", catalog_id="{args.name}" or --host local --catalog {args.name}{elsewhere}')
    if not args.schema:
        print(f"to record runs in it: `deriva-ml-catalog schema install {args.name}`")
    return 0


def _list(args: argparse.Namespace) -> int:
    from deriva_ml_core.local_catalog.administration import list_catalogs

    with Root(args.root, create=False) as root:
        found = list_catalogs(root)
    if args.json:
        print(json.dumps([catalog.document() for catalog in found], indent=2))
    else:
        rows = [(c.id, ", ".join(c.names), f"{c.created:%Y-%m-%d %H:%M}", _size(c.size_bytes)) for c in found]
        _print_table(("ID", "NAME", "CREATED", "SIZE"), rows)
    return 0


def _delete(args: argparse.Namespace) -> int:
    from deriva_ml_core.local_catalog.administration import delete_catalog

    with Root(args.root, create=False) as root:
        identity = delete_catalog(root, args.name)
    print(f"deleted catalog {args.name} (id {identity}) and its history")
    return 0


def _serve(args: argparse.Namespace) -> int:
    from deriva_ml_core.local_catalog.server import serve

    if bool(args.tls_cert) != bool(args.tls_key):
        return _fail("--tls-cert and --tls-key go together.")
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    serve(
        args.root,
        host=args.host,
        port=args.port,
        tls_cert=args.tls_cert,
        tls_key=args.tls_key,
        ready=lambda url: print(f"listening on {url}", flush=True),
        pages=_pages,
    )
    return 0


def _pages(application: Any) -> dict[str, Any]:
    """What a person sees who opens the server in a web browser."""
    import atexit

    from deriva_ml_core.browser import MOUNTS, Site
    from deriva_ml_core.local_catalog.administration import list_catalogs

    def catalogs() -> list[str]:
        return [(catalog.names or (catalog.id,))[0] for catalog in list_catalogs(application.root)]

    site = Site(application, catalogs)
    atexit.register(site.close)
    return dict.fromkeys(MOUNTS, site)


def _user_add(args: argparse.Namespace) -> int:
    from deriva_ml_core.local_catalog.users import Users

    with Root(args.root) as root:
        print(Users(root.registry).add(args.name, admin=args.admin))
    return 0


def _user_list(args: argparse.Namespace) -> int:
    from deriva_ml_core.local_catalog.users import Users

    with Root(args.root, create=False) as root:
        users = Users(root.registry).all()
    created = {user.name: datetime.fromtimestamp(user.created, UTC) for user in users}
    if args.json:
        found = [
            {"name": u.name, "admin": u.admin, "created": created[u.name].isoformat(timespec="seconds")} for u in users
        ]
        print(json.dumps(found, indent=2))
    else:
        _print_table(
            ("NAME", "ADMIN", "CREATED"),
            [(user.name, "yes" if user.admin else "no", f"{created[user.name]:%Y-%m-%d %H:%M}") for user in users],
        )
    return 0


def _user_remove(args: argparse.Namespace) -> int:
    from deriva_ml_core.local_catalog.users import Users

    with Root(args.root, create=False) as root:
        Users(root.registry).remove(args.name)
    print(f"removed user {args.name}, whose token is worthless now")
    return 0


def _backup(args: argparse.Namespace) -> int:
    from deriva_ml_core.local_catalog.backup import backup

    with Root(args.root, create=False) as root:
        count = backup(root, args.target, link=not args.copy)
    print(f"{args.target}: a copy of {args.root} with {count} objects")
    return 0


def _restore(args: argparse.Namespace) -> int:
    from deriva_ml_core.local_catalog.backup import restore

    restore(args.source, args.root)
    print(f"{args.root}: restored from {args.source}")
    return 0


def _check(args: argparse.Namespace) -> int:
    from deriva_ml_core.local_catalog.checking import check

    with Root(args.root, create=False) as root:
        report = check(root)
    if args.json:
        print(json.dumps(report.document(), indent=2))
    else:
        for finding in report.findings:
            print(finding)
        print(f"{report.catalogs} catalogs, {report.objects} objects: {len(report.findings) or 'nothing'} wrong")
    return 1 if report.findings else 0


def _print_table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _size(size_bytes: int) -> str:
    size, unit = float(size_bytes), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024 or unit == "TiB":
            break
        size /= 1024
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"


if __name__ == "__main__":
    with suppress(BrokenPipeError):
        sys.exit(main())
