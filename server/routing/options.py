"""Where a model server is, how to greet it, and how long to wait for it."""

from dataclasses import dataclass

from pydantic import SecretStr
from yarl import URL

from server.errors import SettingsError
from server.routing.failures import Target
from server.routing.wire import Dialect

UNNAMED = "(chosen by the server)"


def parse_base_url(text: str, setting: str = "LLM_BASE_URL") -> URL:
    """The base address, without a slash at its end.

    Raises:
        SettingsError: not an http(s) address, or one with a credential, query or fragment in it.
    """
    try:
        url = URL(text.strip())
        host = url.host
    except ValueError:
        url, host = URL(), None
    if url.scheme not in ("http", "https") or not host:
        raise SettingsError(f"{setting} is not an address such as http://127.0.0.1:11434/v1.")
    if url.user is not None or url.password is not None:
        raise SettingsError(f"{setting} carries a user name or password: put the key in LLM_API_KEY instead.")
    if url.query_string or url.fragment:
        raise SettingsError(f"{setting} must end with its path: leave out what follows '?' or '#'.")
    return url.with_path(url.path.rstrip("/").removesuffix("/chat/completions"))


def parse_key(key: SecretStr | None, setting: str) -> str | None:
    """The key as a header takes it; None where it is empty.

    Raises:
        SettingsError: it holds white space or characters no key has.
    """
    text = key.get_secret_value().strip() if key else ""
    if not text:
        return None
    if not text.isascii() or not text.isprintable() or " " in text:
        raise SettingsError(f"{setting} holds characters that no key has: copy it again, without quotes or spaces.")
    return text


class SecretHeaders(dict[str, str]):
    """Headers that do not show in a traceback's locals."""

    def __repr__(self) -> str:
        return f"SecretHeaders({', '.join(self)})"


@dataclass(frozen=True, slots=True)
class Options:
    """One model server. `key_name` and `model_name` are the settings that errors point at.

    `silence_seconds` bounds the time to the first sign of work and between any two; `total_seconds` the whole reply.
    A model that is None is the first one the server lists. `key_name` is None where nobody sets the key by hand.
    """

    base_url: URL
    api_key: SecretStr | None = None
    model: str | None = None
    summary_model: str | None = None
    key_name: str | None = "LLM_API_KEY"
    model_name: str = "LLM_MODEL"
    silence_seconds: float = 30.0
    total_seconds: float = 180.0
    bundled: bool = False
    context_tokens: int | None = None
    banner: str | None = None
    speaks: Dialect | None = None  # None: as the host's name suggests

    @property
    def host(self) -> str:
        return self.base_url.host or ""

    @property
    def dialect(self) -> Dialect:
        return self.speaks or Dialect.of(self.host)

    def target(self, model: str | None = None) -> Target:
        """Who is asked, for what an error has to say."""
        return Target(
            title="The bundled model" if self.bundled else f"The model server at {self.base_url.authority}",
            model=model or self.model or UNNAMED,
            key_name=self.key_name,
            model_name=self.model_name,
            has_key=parse_key(self.api_key, self.key_name or "the key") is not None,
        )

    def headers(self) -> SecretHeaders:
        """What every request carries.

        Raises:
            SettingsError: the key cannot be one.
        """
        # a bomb of a body cannot unpack here: compression is neither asked for nor taken
        headers = SecretHeaders({"Accept-Encoding": "identity", "User-Agent": "Vestige"})
        if (key := parse_key(self.api_key, self.key_name or "the key")) is not None:
            headers["Authorization"] = f"Bearer {key}"
        if self.dialect is Dialect.OPENROUTER:
            # attribution; a constant, since OpenRouter publishes it and a household's address is its own business
            headers["HTTP-Referer"] = "http://localhost"
            headers["X-OpenRouter-Title"] = "Vestige"
        return headers
