"""compose.yaml against the program: the names it sets are settings, the commands it runs are commands."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from server.cli.commands import app
from server.configuration import load
from server.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("server", "worker", "telegram")


def environment(service: str, **given: str) -> dict[str, str]:
    """What a service gets where a person set `given` and nothing else."""

    def filled(value: str) -> str:
        # Compose ends a default at the first brace: one with braces in it would leave its rest behind what is given
        return re.sub(r"\$\{(\w+):-([^}]*)\}", lambda found: given.get(found[1]) or found[2], value)

    return {name: filled(str(value)) for name, value in SERVICES[service]["environment"].items()}


@pytest.mark.parametrize("service", OURS)
def test_every_name_is_a_setting(service: str) -> None:
    known = {f"VESTIGE_{name.upper()}" for name in Settings.model_fields}
    known |= {"REDIS_URL", "CHROMA_URL", "OPENROUTER_API_KEY", "LLM_BASE_URL", "LLM_API_KEY", "LLM_MODEL"}
    assert {name for name in environment(service) if not name.startswith("AWS_")} <= known


@pytest.mark.parametrize("service", OURS)
@pytest.mark.parametrize(
    "given",
    [{}, {"OPENROUTER_API_KEY": "sk-or-1"}, {"LLM_BASE_URL": "http://ollama:11434/v1", "LLM_MODEL": "llama3.3"}],
)
def test_the_settings_are_good_as_they_are(
    service: str, given: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in environment(service, **given).items():
        monkeypatch.setenv(name, value)
    settings = load({}).settings
    if service == "server":
        assert settings.redis_url is not None
        assert settings.cache_redis_url is not None
        assert settings.characters == Path("/characters")
        assert settings.comfy_hosts == {}


@pytest.mark.parametrize(
    ("service", "given", "setting"),
    [
        ("server", "gpu1=http://gpu1:8188", "comfy_hosts"),
        ("worker", '{"gpu1": {"url": "http://gpu1:8188"}}', "comfy_hosts"),
        ("telegram", '{"987654321": "anna"}', "telegram_users"),
    ],
)
def test_hosts_and_people_come_from_the_environment(
    service: str, given: str, setting: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in environment(service, **{f"VESTIGE_{setting.upper()}": given}).items():
        monkeypatch.setenv(name, value)
    assert len(getattr(load({}).settings, setting)) == 1


@pytest.mark.parametrize("service", OURS)
def test_it_runs_a_command_that_there_is(service: str) -> None:
    command = typer.main.get_command(app)
    assert SERVICES[service]["command"][0] in command.commands  # type: ignore[attr-defined]


@pytest.mark.parametrize("service", SERVICES)
def test_no_service_has_more_rights_or_memory_than_it_needs(service: str) -> None:
    about = SERVICES[service]
    assert about["cap_drop"] == ["ALL"]
    assert about["security_opt"] == ["no-new-privileges:true"]
    assert "mem_limit" in about
    assert about["image"].rpartition(":")[2] not in ("", "latest")
    if service != "chroma":  # its image writes beside its data
        assert about["read_only"] is True
    for port in about.get("ports", []):
        assert "127.0.0.1" in port


@pytest.mark.parametrize("service", ["state", "cache", "chroma", "server"])
def test_what_others_wait_for_says_how_it_is(service: str) -> None:
    assert SERVICES[service]["healthcheck"]["test"]


def test_the_image_runs_as_nobody_and_takes_the_locks() -> None:
    recipe = COMPOSE["x-image"]["build"]["dockerfile_inline"]
    assert "\nUSER vestige\n" in recipe
    assert recipe.count("--require-hashes") == 2
    for name in re.findall(r"^COPY (.+) \S+$", recipe, re.MULTILINE):
        for path in name.split():
            assert (ROOT / path).exists(), path
