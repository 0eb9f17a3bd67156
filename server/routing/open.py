"""Which language model the settings ask for, opened and closed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import structlog
from yarl import URL

from server.errors import ModelError
from server.routing.bundled import BundledModel, find_model_file, open_bundled
from server.routing.calls import ModelMetrics
from server.routing.endpoint import ChatEndpoint
from server.routing.options import Options, parse_base_url
from server.routing.types import LanguageModel
from server.settings import Settings

OPENROUTER = URL("https://openrouter.ai/api/v1")
OPENROUTER_MODEL = "openrouter/auto"
LIST_SECONDS = 2.0  # the start waits no longer for a server to name its model
MAX_CONNECTIONS = 512


def endpoint_options(settings: Settings) -> Options | None:
    """The model server that is set; None where the bundled model is meant.

    Raises:
        SettingsError: the address or the key cannot be one.
    """
    if settings.openrouter_api_key:
        return Options(
            base_url=OPENROUTER,
            api_key=settings.openrouter_api_key,
            model=settings.llm_model or OPENROUTER_MODEL,
            summary_model=settings.summary_model,
            key_name="OPENROUTER_API_KEY",
            silence_seconds=settings.first_token_seconds,
            total_seconds=settings.total_seconds,
        )
    if settings.llm_base_url:
        return Options(
            base_url=parse_base_url(settings.llm_base_url),
            api_key=settings.llm_api_key,
            model=settings.llm_model or None,
            summary_model=settings.summary_model,
            silence_seconds=settings.first_token_seconds,
            total_seconds=settings.total_seconds,
        )
    return None


@asynccontextmanager
async def open_session(*, keep_alive: bool) -> AsyncIterator[aiohttp.ClientSession]:
    """The HTTP session for a model server: no cookies, no decompression, no proxy or credential from the environment.

    `keep_alive` saves the handshake of TLS. Without TLS there is little to save, and llama.cpp hangs up after each
    stream without a word: a request on that connection would be lost.
    """
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS, force_close=not keep_alive),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
    ) as session:
        yield session


@asynccontextmanager
async def open_model(settings: Settings, *, metrics: ModelMetrics | None = None) -> AsyncIterator[LanguageModel]:
    """OpenRouter, any OpenAI-compatible server, or the bundled model; closed, with its process, on the way out.

    Raises:
        SettingsError: the address or the key cannot be one.
        StartupError: no model is set and the bundled one is not installed.
    """
    log = structlog.get_logger("vestige.model")
    options = endpoint_options(settings)
    async with open_session(keep_alive=options is not None and options.base_url.scheme == "https") as session:
        if options is not None:
            endpoint = ChatEndpoint(session, options, metrics=metrics)
            await _name_model(endpoint)
            yield endpoint
            return
        if settings.llm_model or settings.summary_model:
            log.warning("llm_model and summary_model have no effect: the bundled model is in use")
        model = BundledModel(
            session,
            await asyncio.to_thread(find_model_file),
            silence_seconds=settings.first_token_seconds,
            total_seconds=settings.total_seconds,
            metrics=metrics,
        )
        async with open_bundled(model):
            yield model


async def _name_model(endpoint: ChatEndpoint) -> None:
    """Asks the server for its model where none is set. If it is not up yet, the first turn asks again."""
    try:
        name = await endpoint.find_model(LIST_SECONDS)
    except ModelError as error:
        structlog.get_logger("vestige.model").warning("no model yet", reason=error.message)
    else:
        structlog.get_logger("vestige.model").info("model", name=name, provider=endpoint.info.provider)
