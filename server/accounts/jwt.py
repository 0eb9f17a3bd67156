"""Tokens of a product with its own sign-in: JSON Web Tokens (RFC 7519) that it signs and we only check.

What is checked, and with what, the settings say; a token's header chooses nothing. Keys are never fetched. docs/jwt.md
has the rules for whoever issues the tokens.
"""

import hashlib
import re
import warnings
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

import structlog
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OctKey, RSAKey

from server.accounts.principal import HOME, PERSONAL, Principal
from server.errors import InvalidId, InvalidRequest, SettingsError
from server.ids import check_slug
from server.settings import Settings
from server.text import clean_name

_log = structlog.get_logger(__name__)

TOKEN_BYTES = 8_192
LEEWAY_SECONDS = 10
"""How far the clocks of issuer and server may be apart."""
SECRET_BYTES = 32
RSA_BITS = 2_048
KEYS_MOST = 4
SUBJECT_CHARACTERS = 255
MAPPED = "sub-"
"""How the user ids begin that are made from subjects which are no ids themselves."""
_PEM = re.compile(r"-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----", re.DOTALL)

Key = OctKey | RSAKey | ECKey


class BadToken(Exception):
    """A token that is none of ours; `why` is for the log, never for who sent it."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True)
class Tokens:
    """Checks tokens. `tenant`: that of tokens which name none, None where each has to."""

    algorithm: str
    keys: tuple[Key, ...]
    issuer: str
    audience: str
    tenant: str | None
    longest: int
    tiers: Collection[str]
    default_tier: str
    clock: Callable[[], datetime]

    @classmethod
    def of(cls, settings: Settings, clock: Callable[[], datetime]) -> Self | None:
        """By the settings; None where no tokens are taken.

        Raises:
            SettingsError: the key is not one for the algorithm, or too weak.
        """
        if settings.jwt_algorithm is None:
            return None
        return cls(
            algorithm=settings.jwt_algorithm,
            keys=read_keys(settings.jwt_algorithm, _key_text(settings)),
            issuer=settings.jwt_issuer or "",
            audience=settings.jwt_audience or "",
            tenant=settings.jwt_tenant,
            longest=settings.jwt_longest_minutes * 60,
            tiers=settings.plans,
            default_tier=settings.default_tier,
            clock=clock,
        )

    def check(self, token: str) -> Principal:
        """Whom a token is for.

        Raises:
            BadToken: it is not to be trusted.
        """
        claims = self._signed(token)
        self._check_times(claims)
        if claims.get("iss") != self.issuer:
            raise BadToken("issuer")
        audience = claims.get("aud")
        if self.audience not in (audience if isinstance(audience, list) else [audience]):
            raise BadToken("audience")
        tenant, user = self._tenant(claims), user_id(claims.get("sub"))
        tier = claims.get("tier")
        return Principal(
            tenant=tenant,
            user=user,
            name=_name(claims.get("name")) or user,
            role="member",
            scopes=PERSONAL,
            tier=tier if isinstance(tier, str) and tier in self.tiers else self.default_tier,
            kind="token",
            credential=f"token:{tenant}/{user}",
        )

    def _signed(self, token: str) -> Mapping[str, Any]:
        if len(token) > TOKEN_BYTES or not token.isascii():
            raise BadToken("size")
        for key in self.keys:
            try:
                return jwt.decode(token, key, algorithms=[self.algorithm]).claims
            except (JoseError, ValueError, TypeError, RecursionError):
                continue
        raise BadToken("signature")

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        now = self.clock().timestamp()
        expires = _seconds(claims, "exp")
        if expires is None or expires <= now - LEEWAY_SECONDS:
            raise BadToken("expired")
        if expires > now + self.longest + LEEWAY_SECONDS:
            raise BadToken("too long")
        for name in ("nbf", "iat"):
            moment = _seconds(claims, name)
            if moment is not None and moment > now + LEEWAY_SECONDS:
                raise BadToken("not yet")

    def _tenant(self, claims: Mapping[str, Any]) -> str:
        try:
            tenant = check_slug(claims.get("tenant", self.tenant), "tenant")
        except InvalidId:
            raise BadToken("tenant") from None
        if tenant == HOME:  # the household's: the owner is in it, and an issuer may hand out any subject
            raise BadToken("tenant")
        return tenant


def user_id(subject: object) -> str:
    """The user id of a subject; two subjects never share one.

    A subject that can be an id is one. Another, such as `auth0|123` or an address, is mapped to `sub-` and the first
    160 bits of its sha256; so is one that begins with `sub-` itself.

    Raises:
        BadToken: it is no text, empty, or longer than 255 characters.
    """
    if not isinstance(subject, str) or not 0 < len(subject) <= SUBJECT_CHARACTERS:
        raise BadToken("subject")
    try:
        if not subject.startswith(MAPPED):
            return check_slug(subject, "sub")
    except InvalidId:
        pass
    return MAPPED + hashlib.sha256(subject.encode("utf-8", "surrogatepass")).hexdigest()[:40]


def read_keys(algorithm: str, text: str) -> tuple[Key, ...]:
    """The keys of a setting or file: a secret, or public keys in PEM, up to four, so that keys can be changed.

    Raises:
        SettingsError: it is not a key for `algorithm`, or too weak.
    """
    if algorithm == "HS256":
        secret = text.strip().encode()
        if b"-----BEGIN" in secret:
            raise SettingsError("jwt_key is a public key, and HS256 needs a secret: is jwt_algorithm RS256 or ES256?")
        if len(secret) < SECRET_BYTES:
            raise SettingsError(f"jwt_key is shorter than {SECRET_BYTES} bytes: HS256 needs a long random secret.")
        return (OctKey.import_key(secret),)
    blocks = _PEM.findall(text.replace("\\n", "\n"))  # an environment often has no real line ends
    if not 0 < len(blocks) <= KEYS_MOST:
        raise SettingsError(f"jwt_key must be 1 to {KEYS_MOST} public keys in PEM for {algorithm}.")
    if any("PRIVATE" in block for block in blocks):
        raise SettingsError("jwt_key is a private key: keep that where tokens are signed, and give the public one.")
    return tuple(_public_key(algorithm, block) for block in blocks)


def _public_key(algorithm: str, pem: str) -> Key:
    try:
        with warnings.catch_warnings(action="ignore"):  # the library warns of what is refused below
            key = RSAKey.import_key(pem) if algorithm == "RS256" else ECKey.import_key(pem)
    except (JoseError, ValueError, TypeError):
        raise SettingsError(f"jwt_key is not a public key in PEM for {algorithm}.") from None
    if isinstance(key, RSAKey) and key.public_key.key_size < RSA_BITS:
        raise SettingsError(f"jwt_key has {key.public_key.key_size} bits: RS256 needs {RSA_BITS} or more.")
    if isinstance(key, ECKey) and key.curve_name != "P-256":
        raise SettingsError(f"jwt_key is on the curve {key.curve_name}: ES256 needs P-256.")
    return key


def _key_text(settings: Settings) -> str:
    if settings.jwt_key is not None:
        return settings.jwt_key.get_secret_value()
    assert settings.jwt_key_file is not None  # noqa: S101 - the settings have one of the two
    try:
        return settings.jwt_key_file.read_text("ascii")
    except (OSError, ValueError) as error:
        raise SettingsError(f"jwt_key_file cannot be read: {settings.jwt_key_file} ({type(error).__name__}).") from None


def _seconds(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e12:
        raise BadToken(name)
    return float(value)


def _name(value: object) -> str | None:
    try:
        return clean_name(value) if isinstance(value, str) else None
    except InvalidRequest:
        return None
