"""Settings come from flags, the environment and a file, and a wrong one stops the start with one line."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.configuration import MASK, PACK_VARIABLES, load
from server.errors import SettingsError


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    known = ("VESTIGE_", "REDIS_", "CACHE_REDIS_", "CHROMA_", "OPENROUTER_", "LLM_")
    for name in [name for name in os.environ if name.startswith(known)]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    yield


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "vestige.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_need_no_file_and_no_environment() -> None:
    loaded = load()
    assert loaded.settings.on_loopback
    assert set(loaded.sources.values()) == {"default"}


def test_the_node_pack_s_variables_are_no_mistake_of_the_server_s(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PACK_VARIABLES:
        monkeypatch.setenv(name, "x")
    assert set(load().sources.values()) == {"default"}


def test_flags_beat_the_environment_which_beats_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, 'port = 2001\nlog_level = "debug"\nhost = "localhost"\n')
    monkeypatch.setenv("VESTIGE_PORT", "2002")
    monkeypatch.setenv("VESTIGE_LOG_LEVEL", "error")
    loaded = load({"port": 2003, "data": None})
    settings, sources = loaded.settings, loaded.sources
    assert (settings.port, settings.log_level, settings.host) == (2003, "error", "localhost")
    assert (sources["port"], sources["log_level"], sources["host"]) == ("--port", "$VESTIGE_LOG_LEVEL", str(path))
    assert sources["data"] == "default"


@pytest.mark.parametrize("variable", ["REDIS_URL", "VESTIGE_REDIS_URL"])
def test_secrets_are_masked_and_their_place_is_shown(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "redis://:hunter2@example/0")
    rows = {name: (value, source) for name, value, source in load().rows()}
    assert rows["redis_url"] == (MASK, f"${variable}")
    assert "hunter2" not in repr(load())


def test_a_list_in_the_environment_is_comma_separated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VESTIGE_ALLOWED_HOSTS", "chat.example.org, other.example.org")
    assert load().settings.allowed_hosts == ("chat.example.org", "other.example.org")


@pytest.mark.parametrize(
    ("toml", "environment", "says"),
    [
        ("prot = 1", {}, "unknown setting 'prot'; did you mean 'port'?"),
        ("port = [", {}, "not valid TOML"),
        ("port = 99999", {}, "port ("),
        ("[plans.free]\ncontext_tokns = 1000", {}, "plans.free.context_tokns"),
        ("[plans.free]\ncontext_tokens = 1000\nrecall_tokens = 900", {}, "must leave room"),
        ("", {"VESTIGE_PROT": "1"}, "VESTIGE_PROT; did you mean 'VESTIGE_PORT'?"),
        ("", {"VESTIGE_PORT": "soon"}, "port ($VESTIGE_PORT)"),
        ("", {"OPENROUTER_API_KEY": "k", "LLM_BASE_URL": "http://127.0.0.1:1"}, "contradict each other"),
        ("", {"LLM_API_KEY": "k"}, "say which server the key is for"),
        ("", {"CACHE_REDIS_URL": "redis://x"}, "redis_url is not"),
        ('default_tier = "gold"', {}, "not among the plans"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toml: str, environment: dict[str, str], says: str
) -> None:
    write(tmp_path, toml)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load()
    assert says in caught.value.message
    assert re.search(r"[^.?][.?]$", caught.value.message)
    assert "\n" not in caught.value.message


def test_a_settings_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="does not exist"):
        load(file=tmp_path / "none.toml")
    (tmp_path / "broken.toml").write_bytes(b"\xff\xfe\x00port")
    with pytest.raises(SettingsError, match="not valid TOML"):
        load(file=tmp_path / "broken.toml")
