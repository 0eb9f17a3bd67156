"""A real ComfyUI as a child process: on the CPU, in a base folder of its own, with our pack as a clone would be."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from server.processes import plain_environment, spawn_child

ROOT = Path(__file__).resolve().parents[2]
FIXTURE_PACK = Path(__file__).with_name("fixture_pack")
COMFYUI = Path(os.environ.get("COMFYUI_DIR", Path.home() / "ComfyUI"))
PYTHON = Path(os.environ.get("COMFYUI_PYTHON", COMFYUI / ".venv" / "bin" / "python"))
IPADAPTER_PLUS = Path(os.environ.get("IPADAPTER_PLUS_DIR", Path.home() / "IPAdapter_plus"))
START_SECONDS = 240.0
PACK_FILES = ("__init__.py", "comfy_nodes", "workflows", "pyproject.toml", "requirements.txt")

needs_comfyui = pytest.mark.skipif(
    not (COMFYUI / "main.py").is_file() or not PYTHON.is_file(),
    reason=f"NO REAL COMFYUI at {COMFYUI}: set COMFYUI_DIR and COMFYUI_PYTHON to run the node pack for real",
)


def copy_pack(target: Path) -> None:
    """What a clone of the working tree would hold of the node pack, files that are not committed yet included."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *PACK_FILES],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split("\0")  # fmt: skip
    for file in filter(None, listed):
        if (ROOT / file).is_file():
            (target / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / file, target / file)


@dataclass
class ComfyUI:
    """A running one. `base` holds its models, custom_nodes, input, output, temp and user folders."""

    url: str
    base: Path
    log_file: Path
    seen: int = field(default=0)

    @property
    def log(self) -> str:
        """What it printed so far."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def news(self) -> str:
        """What it printed since `seen`, which a test sets when it begins."""
        return self.log[self.seen :]


@contextmanager
def running(
    base: Path, packs: Mapping[str, Path | None], *arguments: str, env: Mapping[str, str] | None = None
) -> Iterator[ComfyUI]:
    """Starts ComfyUI over `base` and waits until it answers. It ends with this process, however that ends.

    Args:
        packs: folders by their name in custom_nodes, linked there; None for our own pack, which is copied.
        arguments: more of ComfyUI's command line.
        env: environment of the process, over a plain one.

    Raises:
        RuntimeError: it did not start; the message ends with its log.
    """
    custom_nodes = base / "custom_nodes"
    custom_nodes.mkdir(parents=True)
    for name, folder in packs.items():
        if folder is None:
            copy_pack(custom_nodes / name)
        else:
            (custom_nodes / name).symlink_to(folder)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    comfyui = ComfyUI(f"http://127.0.0.1:{port}", base, base / "comfyui.log")
    argv = [
        str(PYTHON), "main.py", "--cpu", "--port", str(port), "--base-directory", str(base), "--disable-auto-launch",
        "--database-url", "sqlite:///:memory:", "--disable-all-custom-nodes", "--disable-api-nodes", *arguments,
        *(["--whitelist-custom-nodes", *packs] if packs else []),
    ]  # fmt: skip
    environment = plain_environment(OMP_NUM_THREADS="1", PYTHONDONTWRITEBYTECODE="1", PYTHONUNBUFFERED="1")
    with comfyui.log_file.open("wb") as log:
        child = spawn_child(argv, cwd=COMFYUI, stdout=log, env=environment | dict(env or {}))
    try:
        end = time.monotonic() + START_SECONDS
        while not _answers(comfyui.url):
            if child.returncode is not None or time.monotonic() > end:
                raise RuntimeError(f"ComfyUI did not start (exit status {child.returncode}):\n{comfyui.log[-5000:]}")
            time.sleep(0.1)
        yield comfyui
    finally:
        child.stop_now(grace=5.0)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/system_stats", timeout=2) as response:  # noqa: S310 - our own loopback
            return response.status == 200
    except OSError:
        return False
