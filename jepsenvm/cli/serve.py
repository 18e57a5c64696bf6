"""`jepsenvm serve`: shows the store in a browser."""

from __future__ import annotations

from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import click

from jepsenvm.cli import options
from jepsenvm.errors import UsageError, printable_line
from jepsenvm.serve.catalogue import Catalogue


@click.command("serve")
@options.store
@click.option(
    "--campaigns",
    type=click.Path(path_type=Path),
    default=Path("campaigns"),
    show_default=True,
    help="Folder of the campaigns.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address on which to listen. Browsers need a token for all but loopback addresses.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8010,
    show_default=True,
    help="Port on which to listen; 0 for any free port.",
)
@click.option(
    "--token-file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="File with the token, which only its owner may read. Then browsers need the token for "
    "loopback addresses too.  [default: a new token, which is printed]",
)
def command(
    store_root: Path, campaigns: Path, *, host: str, port: int, token_file: Path | None
) -> None:
    """Browse the store: search, compare, download and follow runs.

    Nothing in the store is changed. Ctrl-C ends it. Needs jepsenvm[serve].
    """
    for package in ("starlette", "uvicorn"):
        if find_spec(package) is None:
            raise UsageError(f"{package} is not installed", remedy="pip install 'jepsenvm[serve]'")
    if not store_root.is_dir() and not campaigns.is_dir():
        raise UsageError(
            f"--store {store_root}: there is no such folder", remedy="name the folder of the store"
        )
    from jepsenvm.serve.server import serve  # noqa: PLC0415 - Starlette and uvicorn are optional

    catalogue = Catalogue(store_root.absolute(), campaigns.absolute())
    with suppress(KeyboardInterrupt):  # Ctrl-C is how a server ends
        serve(catalogue, host, port, token_file, _print)


def _print(line: str) -> None:
    click.echo(f"serving {printable_line(line)}")
