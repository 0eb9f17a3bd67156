"""The `vestige` command."""

import os
import sys

__all__ = ["main"]

MINIMUM = (3, 11)


def main() -> None:
    """Runs the command line; a known error is one line on stderr and exit code 1."""
    if sys.version_info < MINIMUM:
        version = ".".join(map(str, sys.version_info[:3]))
        sys.exit(f"vestige: the server needs Python 3.11 or newer; this is {version}. The node pack runs on 3.10 too.")
    from server.stores.scrub import restart_scrubbed

    # read when numpy is imported: for products of our size its threads cost more, waiting, than they bring
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if "serve" in sys.argv[1:]:
        restart_scrubbed()  # first of all: it begins this process again, and nothing is imported yet
    try:
        from server.cli.commands import app
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "server":
            raise
        needed = f"`{sys.executable} -m pip install -r requirements/server.txt`"
        sys.exit(f"vestige: {error.name} is missing: run {needed} in the clone, or scripts/serve, which does.")
    from server.errors import VestigeError

    try:
        app()
    except VestigeError as error:
        sys.exit(f"vestige: {error.message}")
