"""Hosts in the settings: short and long forms, tokens that are never shown, and one clear line for a wrong one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from server.configuration import load
from server.errors import SettingsError
from server.render.fleet.config import host_configs
from server.render.fleet.types import HostConfig

TABLES = """
comfy_token = "everybodys-token"

[comfy_hosts.gpu1]
url = "http://gpu1.internal:8188/"

[comfy_hosts.gpu2]
url = "https://gpu2.internal/comfy"
token = "the-second-ones-token"

[comfy_hosts.gpu3]
url = "http://10.0.0.3:8188"
token_env = "TOKEN_OF_GPU3"
"""


def read(tmp_path: Path, text: str) -> list[HostConfig]:
    path = tmp_path / "vestige.toml"
    path.write_text(text)
    return host_configs(load(file=path).settings)


def test_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN_OF_GPU3", "the-third-ones-token")
    assert read(tmp_path, TABLES) == [
        HostConfig("gpu1", "http://gpu1.internal:8188", "everybodys-token"),
        HostConfig("gpu2", "https://gpu2.internal/comfy", "the-second-ones-token"),
        HostConfig("gpu3", "http://10.0.0.3:8188", "the-third-ones-token"),
    ]
    shown = str(load(file=tmp_path / "vestige.toml").rows()) + repr(read(tmp_path, TABLES))
    assert "ones-token" not in shown
    assert "everybodys-token" not in shown


@pytest.mark.parametrize(
    "text",
    [
        "gpu1=http://gpu1:8188, gpu2=http://gpu2:8188",
        "gpu1=http://gpu1:8188 gpu2=http://gpu2:8188/",
        '{"gpu1": "http://gpu1:8188", "gpu2": {"url": "http://gpu2:8188"}}',
    ],
)
def test_the_environment(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("VESTIGE_COMFY_HOSTS", text)
    assert host_configs(load().settings) == [
        HostConfig("gpu1", "http://gpu1:8188"),
        HostConfig("gpu2", "http://gpu2:8188"),
    ]


@pytest.mark.parametrize(
    ("hosts", "message"),
    [
        ({"gpu1": "gpu1:8188"}, "comfy_hosts.gpu1.url"),
        ({"gpu1": "http://user:word@gpu1:8188"}, "without user, password or query"),
        ({"gpu1": "http://gpu1:8188?token=x"}, "no address such as"),
        ({"GPU 1": "http://gpu1:8188"}, "The host's name must be"),
        ({"a": "http://gpu1:8188", "b": "http://gpu1:8188/"}, "two hosts have the same address"),
        ({"gpu1": {"url": "http://gpu1", "token": "a", "token_env": "B"}}, "give token or token_env, not both"),
        ({"gpu1": {"url": "http://gpu1", "token_env": "NOT_SET"}}, "token_env names $NOT_SET, which is not set"),
        ({"gpu1": {"url": "http://gpu1", "tokn": "a"}}, "comfy_hosts.gpu1.tokn"),
        ("http://gpu1:8188", "write gpu1=http://gpu1:8188"),
        ("{", "comfy_hosts"),
    ],
)
def test_one_line_says_what_is_wrong(hosts: Mapping[str, Any] | str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load({"comfy_hosts": hosts})
    assert message in caught.value.message
    assert "\n" not in caught.value.message
