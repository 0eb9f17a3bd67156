"""Links the node pack into a ComfyUI, says which model files are there and fit together, and fetches missing ones.

ComfyUI-Manager calls it without arguments after it has installed `requirements.txt`; it then only reports.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from comfy_nodes.installing.download import HUB, download
from comfy_nodes.installing.errors import InstallError
from comfy_nodes.installing.known import KNOWN, RECOMMENDED, known
from comfy_nodes.installing.linking import link
from comfy_nodes.installing.needs import missing_packages
from comfy_nodes.installing.places import ComfyUI, find_comfyui, surrounding
from comfy_nodes.installing.report import Bar, say
from comfy_nodes.installing.survey import survey

PACK = Path(__file__).resolve().parent


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0 all well, 1 a model file is missing or nothing fits, 2 it could not be done."""
    options = _parser().parse_args(arguments)
    try:
        if options.comfyui is None and (place := surrounding(PACK)) is not None:
            comfyui = place
        elif options.comfyui is not None:
            comfyui = find_comfyui(options.comfyui)
        else:
            raise InstallError("Which ComfyUI? Name its folder: python install.py --comfyui PATH")
        asked = options.check or options.download is not None
        if options.comfyui is not None and not options.check:
            print(link(PACK, comfyui), file=sys.stderr)
        if options.download is not None:
            _fetch(comfyui, options.download, options.hub)
        return _report(comfyui, as_json=options.json, hashes=asked) if asked else _hello(comfyui)
    except InstallError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped. What came is kept; run it again to go on.", file=sys.stderr)
        return 130


def _fetch(comfyui: ComfyUI, names: list[str], hub: str) -> None:
    """Downloads the named files, or those of the recommended pair that are not there under any name."""
    if names == ["all"]:
        files = KNOWN
    elif names:
        try:
            files = tuple(known(name) for name in names)
        except KeyError as error:
            raise InstallError(error.args[0]) from None
    else:
        files = survey(comfyui, progress=Bar()).missing(RECOMMENDED)
    for file in files:
        print(download(file, comfyui.own(file.folder), hub=hub, progress=Bar()), file=sys.stderr)


def _report(comfyui: ComfyUI, *, as_json: bool, hashes: bool) -> int:
    found = survey(comfyui, progress=None if as_json else Bar(), hashes=hashes)
    lacking = missing_packages()
    if as_json:
        rows = [row.as_json() for row in found.rows]
        whole = {"ready": found.ready, "models": rows, "packages_missing": lacking, "note": found.note}
        print(json.dumps(whole, indent=2))
    else:
        say(comfyui, found, lacking)
    return 0 if found.ready and not lacking else 1


def _hello(comfyui: ComfyUI) -> int:
    """What ComfyUI-Manager shows: never a failure, since models may come later."""
    say(comfyui, survey(comfyui, hashes=False), missing_packages())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="install.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Use ComfyUI's own Python. Nothing is written outside ComfyUI's folders, and torch is left alone.",
    )
    parser.add_argument("--comfyui", metavar="PATH", help="the folder with main.py; links the pack into it")
    parser.add_argument("--check", action="store_true", help="only look: hash each adapter and encoder, change nothing")
    parser.add_argument("--json", action="store_true", help="with --check: for machines")
    parser.add_argument(
        "--download",
        nargs="*",
        metavar="NAME",
        help="fetch model files, resumed and checked by hash: those named, `all`, or by default the pair that is "
        f"recommended ({' and '.join(file.name for file in RECOMMENDED)})",
    )
    parser.add_argument(
        "--hub",
        default=os.environ.get("HF_ENDPOINT") or HUB,
        metavar="URL",
        help="a mirror of the Hugging Face hub; default $HF_ENDPOINT, else %(default)s",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
