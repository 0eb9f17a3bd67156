"""`install.py` as the Manager, an operator and a script call it: with a bare Python, from anywhere."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.installing.hub import serving
from tests.outfit_tuner.model_files import clip_vision, plain
from tests.outfit_tuner.model_files import write_sparse as write

ROOT = Path(__file__).resolve().parents[2]
ADAPTER = plain(1024, 2048, (640, 1280))
VIT_H = clip_vision(1280, 1, 1024, 8)


def run(*arguments: "str | Path", script: Path = ROOT / "install.py", cwd: "Path | None" = None, **env: str):
    return subprocess.run(
        [sys.executable, "-W", "error", script, *arguments],
        capture_output=True, text=True, timeout=100, cwd=cwd or ROOT, env={**os.environ, **env},
    )  # fmt: skip


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


def test_help_says_what_it_does() -> None:
    ran = run("--help")
    assert ran.returncode == 0
    assert "--comfyui PATH" in ran.stdout
    assert "torch is left alone" in " ".join(ran.stdout.split())


def test_without_a_comfyui_it_asks_for_one() -> None:
    ran = run()
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == "Which ComfyUI? Name its folder: python install.py --comfyui PATH\n"


def test_the_manager_s_call_reports_and_never_fails(comfyui: Path) -> None:
    clone = comfyui / "custom_nodes" / "vestige"
    shutil.copytree(ROOT / "comfy_nodes", clone / "comfy_nodes", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(ROOT / "install.py", clone / "install.py")
    before = files(comfyui / "models")
    ran = run(script=clone / "install.py", cwd=comfyui)
    assert ran.returncode == 0, ran.stderr
    assert "ip-adapter-plus_sdxl_vit-h.safetensors" in ran.stdout
    assert "--download" in ran.stdout
    assert files(comfyui / "models") == before


def test_it_links_the_pack_and_says_what_is_there(comfyui: Path) -> None:
    write(comfyui / "models" / "ipadapter" / "a.safetensors", ADAPTER)
    write(comfyui / "models" / "clip_vision" / "b.safetensors", VIT_H)
    ran = run("--comfyui", comfyui)
    assert ran.returncode == 0, ran.stderr
    assert (comfyui / "custom_nodes" / "vestige").resolve() == ROOT
    assert "fits b.safetensors" in ran.stdout
    assert "Ready" in ran.stdout


def test_a_check_changes_nothing_and_a_machine_can_read_it(comfyui: Path) -> None:
    path = write(comfyui / "models" / "ipadapter" / "a.safetensors", ADAPTER)
    before = files(comfyui)
    ran = run("--comfyui", comfyui, "--check", "--json")
    assert ran.returncode == 1
    assert files(comfyui) == before
    report = json.loads(ran.stdout)
    assert report["ready"] is False
    mine = next(row for row in report["models"] if row["name"] == "a.safetensors")
    assert mine["status"] == "unverified"
    assert mine["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    missing = next(row for row in report["models"] if row["name"] == "ip-adapter-plus_sdxl_vit-h.safetensors")
    assert (missing["status"], missing["bytes"]) == ("missing", 847_517_512)


def test_what_is_downloaded_is_checked(comfyui: Path) -> None:
    with serving(b"not the model") as hub:
        ran = run("--comfyui", comfyui, "--download", "ip-adapter_sd15", HF_ENDPOINT=hub.url)
    assert ran.returncode == 2
    assert "thrown away" in ran.stderr
    assert hub.asked[0][0] == "/h94/IP-Adapter/resolve/main/models/ip-adapter_sd15.safetensors"
    assert not (comfyui / "models" / "ipadapter" / "ip-adapter_sd15.safetensors").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--comfyui", "/nowhere"), "is no ComfyUI folder"),
        (("--comfyui", "{comfyui}", "--download", "sd3"), "sd3 is no known model: choose from ip-adapter-plus"),
        (("--comfyui", "{comfyui}", "--download", "--hub", "http://example.org"), "use an https address"),
    ],
)
def test_a_wrong_call_ends_in_one_line(comfyui: Path, arguments: tuple[str, ...], said: str) -> None:
    ran = run(*(argument.format(comfyui=comfyui) for argument in arguments))
    assert ran.returncode == 2
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr


def test_on_a_python_without_torch_it_still_links_and_looks(comfyui: Path, tmp_path: Path) -> None:
    write(comfyui / "models" / "ipadapter" / "a.safetensors", ADAPTER)
    ran = subprocess.run(
        [sys.executable, "-S", "-E", ROOT / "install.py", "--comfyui", comfyui],
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert "ComfyUI's own Python, which has torch" in ran.stdout
    assert "Missing Python packages: httpx, numpy, Pillow, safetensors" in ran.stdout
