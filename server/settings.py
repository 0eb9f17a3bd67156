"""Settings: `vestige.toml`, the environment and flags, in that rising order of precedence."""

import ipaddress
import json
import os
import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import platformdirs
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from server.errors import InvalidId
from server.ids import check_slug

DEFAULT_PORT = 8420
DEFAULT_FILE = "vestige.toml"
SECRET_CHARACTERS = 24
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


Dollars = Annotated[Decimal, Field(ge=0, le=1_000_000, decimal_places=6)]
"""US dollars, exact to a millionth."""
PerMinute = Annotated[int, Field(ge=1, le=1_000_000)]


def _known(name: str) -> Any:
    """An optional field that its well-known environment name may set too, without the prefix."""
    return Field(None, validation_alias=AliasChoices(name, f"VESTIGE_{name.upper()}", name.upper()))


class Plan(BaseModel):
    """What a tier gets. All sizes in tokens (words × 1.33).

    `daily_budget`: US dollars that one user may cost per UTC day; None is no ceiling, 0 only what costs nothing.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    context_tokens: Annotated[int, Field(ge=512, le=1_000_000)] = 6_000
    recall_tokens: Annotated[int, Field(ge=0, le=100_000)] = 1_500
    reply_tokens: Annotated[int, Field(ge=16, le=32_000)] = 800
    turns_per_minute: Annotated[int, Field(ge=1, le=100_000)] = 60
    daily_budget: Dollars | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.recall_tokens + self.reply_tokens >= self.context_tokens:
            raise ValueError("recall_tokens + reply_tokens must leave room within context_tokens")
        return self


class ComfyHostSettings(BaseModel):
    """A ComfyUI that renders. `token`: opens the routes of Vestige's node pack there (its `VESTIGE_PACK_TOKEN`).

    `token_env`: the environment variable that holds the token, in its place.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    token: SecretStr | None = None
    token_env: Annotated[str, Field(pattern=r"[A-Za-z_][A-Za-z0-9_]{0,99}")] | None = None

    @field_validator("url")
    @classmethod
    def _address(cls, value: str) -> str:
        if not re.fullmatch(r"https?://[^\s/@?#]+(/[^\s?#@]*)?", value):
            raise ValueError("it is no address such as http://gpu1.internal:8188, without user, password or query")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _one_token(self) -> Self:
        if self.token and self.token_env:
            raise ValueError("give token or token_env, not both")
        if self.token_env and not os.environ.get(self.token_env):
            raise ValueError(f"token_env names ${self.token_env}, which is not set")
        return self

    def secret(self) -> str | None:
        """The token, wherever it is."""
        if self.token is not None:
            return self.token.get_secret_value()
        return os.environ[self.token_env] if self.token_env else None


class Settings(BaseSettings):
    """Every setting of the server.

    Environment names are `VESTIGE_` + the field's name; those that are widely known (`REDIS_URL`, `CHROMA_URL`,
    `OPENROUTER_API_KEY`, `LLM_BASE_URL`, `LLM_API_KEY`, `LLM_MODEL`) work without the prefix too.
    """

    model_config = SettingsConfigDict(
        env_prefix="VESTIGE_",
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        populate_by_name=True,
        use_attribute_docstrings=True,
    )

    # where
    data: Path = Field(default_factory=lambda: Path(platformdirs.user_data_dir("vestige", appauthor=False)))
    """The data folder: messages, characters, keys, everything. One server at a time."""
    characters: Path | None = None
    """The characters' folder, where several servers share one (with file locks); in the data folder where unset."""
    host: str = "127.0.0.1"
    """The address to listen on. Anything but loopback needs an API key first."""
    port: Annotated[int, Field(ge=0, le=65_535)] = DEFAULT_PORT
    """The port to listen on; 0 takes a free one."""
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    """Host names the server answers to beside loopback and `host`, such as `chat.example.org`."""
    public_url: str | None = None
    """Where people reach the server, when a proxy stands before it; sign-in links use it."""

    # stores
    redis_url: SecretStr | None = _known("redis_url")
    """A Redis or Valkey for state that must not vanish; the server starts its own where unset."""
    cache_redis_url: SecretStr | None = _known("cache_redis_url")
    """Another one for what may be evicted; the same as `redis_url` where unset."""
    chroma_url: SecretStr | None = _known("chroma_url")
    """A Chroma server on a private address; embedded where unset."""
    objects_url: str | None = None
    """Where pictures and model files are: `s3://bucket/prefix` or a folder. Unset: `objects` in the data folder."""
    shards: Annotated[int, Field(ge=1, le=64)] = 16
    """Chroma collections the windows are spread over. Fixed once the data folder exists."""

    # the language model
    routing: Path | None = None
    """The routing policy, such as `routing.toml`: which models answer whom. Without it the settings below name one."""
    environment: Annotated[str, Field(min_length=1, max_length=40)] = "development"
    """What this server is: `production`, `staging`. The log names it beside the end of the model key at the start."""
    openrouter_api_key: SecretStr | None = _known("openrouter_api_key")
    """Use OpenRouter."""
    llm_base_url: str | None = _known("llm_base_url")
    """Use this OpenAI-compatible server, such as `http://127.0.0.1:11434/v1`."""
    llm_api_key: SecretStr | None = _known("llm_api_key")
    """The key for `llm_base_url`, if it asks for one."""
    llm_model: str | None = _known("llm_model")
    """The model's name there; `openrouter/auto` or the server's only one where unset."""
    summary_model: str | None = None
    """The cheap model that writes summaries and facts; the chat model where unset."""
    first_token_seconds: Annotated[float, Field(gt=0, le=600)] = 30.0
    """How long to wait for a reply to begin."""
    total_seconds: Annotated[float, Field(gt=0, le=3_600)] = 180.0
    """How long a reply may take in all."""

    # pictures
    comfy_hosts: Annotated[dict[str, ComfyHostSettings], NoDecode] = Field(default_factory=dict)
    """The ComfyUI hosts that render, by a name of yours: `[comfy_hosts.gpu1]` with `url` and `token` or `token_env`.
    In the environment `gpu1=http://gpu1:8188, gpu2=http://gpu2:8188`, or JSON. None: no pictures."""
    comfy_token: SecretStr | None = None
    """The token of the node pack on every host that has none of its own."""
    comfy_render_seconds: Annotated[float, Field(gt=0, le=3_600)] = 8.0
    """What a render takes until that was measured."""
    comfy_swap_seconds: Annotated[float, Field(ge=0, le=3_600)] = 20.0
    """What loading another checkpoint takes until that was measured: a render waits so long for a warm host."""

    # money: US dollars per UTC day; unset is no ceiling, 0 lets through only what costs nothing
    daily_budget: Dollars | None = None
    """US dollars that all users together may cost per UTC day. Unset: no ceiling. 0: only models that cost nothing."""
    tenant_daily_budget: Dollars | None = None
    """The same for each tenant."""
    tenant_daily_budgets: dict[str, Dollars] = Field(default_factory=dict)
    """The same for single tenants, by name, in place of `tenant_daily_budget`."""
    budget_webhook_url: SecretStr | None = None
    """Told when 50, 80 and 100 % of a ceiling are spent."""
    budget_webhook_secret: SecretStr | None = None
    """Signs what `budget_webhook_url` is told, as Standard Webhooks has it; 24 characters or more."""

    # pictures
    render_workers: Annotated[int, Field(ge=0, le=16)] = 1
    """Worker processes that the server starts and keeps running, once a ComfyUI host is set up; 0 where you run
    `vestige worker` yourself."""
    render_threads: Annotated[int, Field(ge=0, le=256)] = 0
    """Renders that one worker watches at once; 0 goes by the number of hosts."""
    render_cost: Dollars = Decimal(0)
    """US dollars that a new picture counts against the day's budgets. Those that are there already cost nothing."""
    render_waiting: Annotated[int, Field(ge=1, le=10_000)] = 16
    """New pictures that one person may wait for at once."""
    prerender: bool = False
    """Make pictures ahead when an item, a character's look or a live LoRA version is new. See `docs/previews.md`."""
    prerender_most: Annotated[int, Field(ge=1, le=1_000_000)] = 500
    """Pictures that one such change, or one order of an admin, may put into line."""
    preview_days: Annotated[int, Field(ge=1, le=3_650)] = 30
    """Days for which a picture that nothing points to any more is kept."""

    # memory
    embedder: Literal["english", "multilingual", "hash"] = "english"
    """What turns text into vectors. A change asks for `vestige reindex`. `hash` is for tests: it knows no meaning."""
    window_messages: Annotated[int, Field(ge=2, le=64)] = 8
    """Messages a window holds."""
    hot_messages: Annotated[int, Field(ge=8, le=1_000)] = 60
    """Newest messages of a conversation kept ready in the cache."""
    hot_seconds: Annotated[int, Field(ge=60)] = 7 * 86_400
    """How long the cache keeps them after the last message."""
    index_cache_mb: Annotated[int, Field(ge=16, le=65_536)] = 256
    """Memory for the search indexes of recently used conversations, in MB."""
    write_facts: bool = True
    """Let the model write summaries and facts; the bundled model never does."""

    # people
    plans: dict[str, Plan] = Field(default_factory=lambda: {"free": Plan()})
    """What each tier gets: `context_tokens`, `recall_tokens`, `reply_tokens`, `turns_per_minute`, `daily_budget`."""
    default_tier: str = "free"
    """The tier of a new user."""
    operator_policy: str = ""
    """Text that ranks above every character card."""
    policy: Path | None = None
    """The content policy, such as `policy.toml`: how far each plan's conversations may go."""
    disclose_ai: bool = True
    """Tell people that they talk to an AI: the page says so, and a character does when it is asked in earnest."""
    jwt_algorithm: Literal["HS256", "RS256", "ES256"] | None = None
    """Take tokens of a product with its own sign-in, signed so; needs a key, `jwt_issuer` and `jwt_audience`."""
    jwt_key: SecretStr | None = None
    """What they are checked with: the HS256 secret, 32 bytes or more, or public keys in PEM."""
    jwt_key_file: Path | None = None
    """The same from a file."""
    jwt_issuer: str | None = None
    """The `iss` they must have."""
    jwt_audience: str | None = None
    """The `aud` they must have."""
    jwt_tenant: str | None = None
    """The tenant of tokens without a `tenant`; each needs one where unset. Never `home`, which is the household's."""
    jwt_longest_minutes: Annotated[int, Field(ge=1, le=43_200)] = 1_440
    """How far ahead `exp` may be: a token cannot be revoked before."""
    session_days: Annotated[int, Field(ge=1, le=365)] = 30
    """How long a browser stays signed in."""

    # Telegram
    telegram_token: SecretStr | None = None
    """The token of a Telegram bot, for `vestige telegram`; @BotFather gives one."""
    telegram_key: SecretStr | None = None
    """The API key that the bot uses: bound to nobody, with the scopes chat, characters and catalog."""
    telegram_owner: int | None = None
    """The owner's number in Telegram. The bot tells each stranger theirs."""
    telegram_users: dict[str, str] = Field(default_factory=dict)
    """Who else may talk with the bot: numbers in Telegram, each with a user's id here. Empty: only the owner."""
    telegram_server: str = f"http://127.0.0.1:{DEFAULT_PORT}"
    """Where the bot reaches this server."""
    telegram_api: str = "https://api.telegram.org"
    """Where the bot reaches Telegram: another address for a Bot API server of one's own."""

    # limits
    key_requests_per_minute: PerMinute = 1_200
    """Requests of one API key in a minute."""
    address_requests_per_minute: PerMinute = 1_200
    """Requests from one address (an IPv6 /64 counts as one) in a minute; this machine's own are not counted."""
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = ()
    """Addresses or networks of proxies before the server, whose `X-Forwarded-For` says who the client is."""
    message_bytes: Annotated[int, Field(ge=256, le=1_000_000)] = 32_000
    """The longest message, in bytes of UTF-8."""
    body_bytes: Annotated[int, Field(ge=100_000, le=64_000_000)] = 12_000_000
    """The largest request body."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """What is logged. Messages and secrets never are."""
    log_json: bool = False
    """Log lines as JSON."""

    @field_validator("allowed_hosts", "trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("comfy_hosts", mode="before")
    @classmethod
    def _hosts(cls, value: object) -> object:
        """Short forms: text from the environment, and an address in place of a table."""
        if isinstance(value, str):
            value = _read_hosts(value)
        if isinstance(value, dict):
            return {name: {"url": one} if isinstance(one, str) else one for name, one in value.items()}
        return value

    @field_validator("comfy_hosts")
    @classmethod
    def _host_names(cls, value: dict[str, ComfyHostSettings]) -> dict[str, ComfyHostSettings]:
        for name in value:
            try:
                check_slug(name, "host's name")
            except InvalidId as error:
                raise ValueError(error.message) from error
        urls = [one.url for one in value.values()]
        if len(set(urls)) < len(urls):
            raise ValueError("two hosts have the same address")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            ipaddress.ip_network(each, strict=False)
        return value

    @field_validator("budget_webhook_url")
    @classmethod
    def _address(cls, value: SecretStr | None) -> SecretStr | None:
        if value and not re.fullmatch(r"https?://[^\s/@]+(/[^\s#]*)?", value.get_secret_value()):
            raise ValueError("it is no address such as https://ops.example.org/budget")
        return value

    @field_validator("objects_url")
    @classmethod
    def _objects(cls, value: str | None) -> str | None:
        if value is None or value.startswith(("/", "~")):
            return value and str(Path(value).expanduser())
        if not re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[a-z0-9][a-z0-9._-]*)*/?", value):
            raise ValueError("it is neither s3://bucket/prefix (in small letters) nor a folder's full path")
        return value

    @field_validator("tenant_daily_budgets")
    @classmethod
    def _tenants(cls, value: dict[str, Decimal]) -> dict[str, Decimal]:
        for name in value:
            try:
                check_slug(name, "tenant")
            except InvalidId as error:
                raise ValueError(error.message) from error
        return value

    @field_validator("telegram_users")
    @classmethod
    def _numbers(cls, value: dict[str, str]) -> dict[str, str]:
        for number, user in value.items():
            if not re.fullmatch(r"[1-9][0-9]{0,18}", number):
                raise ValueError(f"{number[:24]!r} is no number in Telegram")
            try:
                check_slug(user, "user_id")
            except InvalidId as error:
                raise ValueError(error.message) from error
        return value

    @field_validator("telegram_server", "telegram_api")
    @classmethod
    def _bases(cls, value: str) -> str:
        if not re.fullmatch(r"https?://[^\s/@?#]+(/[^\s?#]*)?", value):
            raise ValueError("it is no address such as https://bots.example.org")
        return value

    @field_validator("jwt_tenant")
    @classmethod
    def _not_the_households(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                check_slug(value, "tenant")
            except InvalidId as error:
                raise ValueError(error.message) from error
            if value == "home":
                raise ValueError("tokens cannot be for 'home', the household's own tenant: name another")
        return value

    @field_validator("data", "routing", "policy", "jwt_key_file")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser().absolute()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.openrouter_api_key and self.llm_base_url and self.routing is None:
            raise ValueError("set either openrouter_api_key or llm_base_url, not both: they name different providers")
        if self.llm_api_key and not self.llm_base_url and self.routing is None:
            raise ValueError("llm_api_key is set but llm_base_url is not: say which server the key is for")
        if self.cache_redis_url and not self.redis_url:
            raise ValueError(
                "cache_redis_url is set but redis_url is not: an outside cache needs an outside state store"
            )
        if bool(self.budget_webhook_url) != bool(self.budget_webhook_secret):
            raise ValueError("budget_webhook_url and budget_webhook_secret go together: set both or neither")
        if self.budget_webhook_secret and len(self.budget_webhook_secret.get_secret_value()) < SECRET_CHARACTERS:
            raise ValueError(f"budget_webhook_secret is shorter than {SECRET_CHARACTERS} characters")
        if self.jwt_algorithm is None and (self.jwt_key or self.jwt_key_file):
            raise ValueError("a jwt_key is set but jwt_algorithm is not: say how the tokens are signed")
        if self.jwt_algorithm and bool(self.jwt_key) == bool(self.jwt_key_file):
            raise ValueError("jwt_algorithm needs one key: set either jwt_key or jwt_key_file")
        if self.jwt_algorithm and not (self.jwt_issuer and self.jwt_audience):
            raise ValueError("jwt_algorithm needs jwt_issuer and jwt_audience: tokens for others must not count here")
        if self.default_tier not in self.plans:
            raise ValueError(f"default_tier {self.default_tier!r} is not among the plans: {', '.join(self.plans)}")
        if self.first_token_seconds > self.total_seconds:
            raise ValueError("first_token_seconds is larger than total_seconds")
        return self

    @property
    def on_loopback(self) -> bool:
        return self.host in LOOPBACK

    def plan(self, tier: str) -> Plan:
        """The plan of a tier; a tier that no longer exists falls back to the default one."""
        return self.plans.get(tier, self.plans[self.default_tier])

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (
            init_settings,
            env_settings,
            TomlConfigSettingsSource(settings_cls, settings_cls.model_config.get("toml_file")),
        )


def _read_hosts(text: str) -> object:
    """Hosts as the environment gives them: JSON, or `name=url` with commas between."""
    if text.lstrip().startswith("{"):
        return json.loads(text)
    pairs = [part.partition("=") for part in re.split(r"[,\s]+", text.strip()) if part]
    if any(not equals for _, equals, _ in pairs):
        raise ValueError("write gpu1=http://gpu1:8188, gpu2=http://gpu2:8188, or JSON")
    return {name: url for name, _, url in pairs}
