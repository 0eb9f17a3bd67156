"""The command as a whole: what it says of itself, and how it fails."""

import subprocess
import sys
from pathlib import Path

import pytest

from server import __version__
from tests.system.instance import ROOT, vestige_run


async def test_it_tells_its_commands_and_its_version() -> None:
    code, out, _ = await vestige_run("--help")
    assert code == 0
    assert all(name in out for name in ("serve", "config", "keys", "users", "link", "reindex"))
    code, out, _ = await vestige_run("version")
    assert (code, out.strip()) == (0, __version__)


@pytest.mark.parametrize("arguments", [("sevre",), ("serve", "--prot", "1"), ("serve", "--port", "many"), ("users",)])
async def test_a_command_that_is_none_ends_with_help_and_two(arguments: tuple[str, ...]) -> None:
    code, out, err = await vestige_run(*arguments)
    assert code == 2
    assert "Traceback" not in out + err
    assert "Usage" in out + err


async def test_config_shows_what_counts_and_where_it_came_from_but_no_secret(tmp_path: Path) -> None:
    file = tmp_path / "vestige.toml"
    file.write_text('window_messages = 6\nllm_base_url = "http://127.0.0.1:9/v1"\nllm_api_key = "sk-very-secret"\n')
    code, out, err = await vestige_run("config", "--config", str(file), "--data", str(tmp_path / "data"), port=9321)
    assert (code, err) == (0, "")
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.split()}
    assert rows["window_messages"] == ["6", str(file)]
    assert rows["port"] == ["9321", "$VESTIGE_PORT"]
    assert rows["data"] == [str(tmp_path / "data"), "--data"]
    assert rows["hot_messages"][-1] == "default"
    assert rows["llm_api_key"] == ["********", str(file)]
    assert "sk-very-secret" not in out
    assert not (tmp_path / "data").exists()


def test_a_missing_dependency_is_one_line_that_says_what_to_install() -> None:
    code = "import sys; sys.modules['typer'] = None\nfrom server.cli import main\nmain()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"vestige: typer is missing: run `{sys.executable} -m pip install -r requirements/")


def test_an_older_python_is_told_so() -> None:
    code = "import sys; sys.version_info = (3, 10, 1)\nfrom server.cli import main\nmain()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1
    assert "needs Python 3.11 or newer; this is 3.10.1" in done.stderr
