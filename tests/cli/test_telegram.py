"""`vestige telegram` says in one line what is missing."""

import os
import sys
from pathlib import Path

import pytest

from server.cli import main


def said(monkeypatch: pytest.MonkeyPatch, cwd: Path, **environment: str) -> str:
    """The line that the command ends with."""
    for name in os.environ:
        if name.startswith("VESTIGE_"):
            monkeypatch.delenv(name)
    for name, value in (environment | {"VESTIGE_DATA": str(cwd / "data")}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(cwd)
    monkeypatch.setattr(sys, "argv", ["vestige", "telegram"])
    for module in ("commands", "telegram"):
        monkeypatch.setattr(f"server.cli.{module}.configure_logging", lambda *_, **__: None)
    with pytest.raises(SystemExit) as ended:
        main()
    return str(ended.value.code)


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in sys.modules if name.startswith("server.telegram")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "aiogram", None)
    line = said(monkeypatch, tmp_path)
    assert line.startswith(
        f"vestige: aiogram is missing: run `{sys.executable} -m pip install -r requirements/telegram"
    )


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, "telegram_token is not set"),
        ({"VESTIGE_TELEGRAM_TOKEN": "1:secret"}, "telegram_key is not set"),
        ({"VESTIGE_TELEGRAM_USERS": '{"anna": "anna"}'}, "no number in Telegram"),
        ({"VESTIGE_TELEGRAM_API": "ftp://x"}, "telegram_api"),
        (
            {
                "VESTIGE_TELEGRAM_TOKEN": "1:secret",
                "VESTIGE_TELEGRAM_KEY": "vst_secret",
                "VESTIGE_TELEGRAM_API": "http://127.0.0.1:9",
            },
            "Telegram does not answer at http://127.0.0.1:9",
        ),
    ],
)
def test_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, environment: dict[str, str], wanted: str
) -> None:
    line = said(monkeypatch, tmp_path, **environment)
    assert wanted in line
    assert "secret" not in line
    assert "\n" not in line
