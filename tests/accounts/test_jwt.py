"""Tokens of a product with its own sign-in: who they are for, and what is tried with them."""

import base64
import hashlib
import hmac
import json
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey
from pydantic import ValidationError

from server.accounts.jwt import BadToken, Tokens, read_keys, user_id
from server.accounts.principal import PERSONAL
from server.accounts.service import Accounts
from server.errors import RateLimited, SettingsError, Unauthenticated
from server.settings import Plan, Settings
from server.stores.redis import RedisPair
from tests.accounts.conftest import OWNER_TOKEN, Clock

SECRET = "a-secret-of-the-shop-that-is-long-enough"
MakeSettings = Callable[..., Settings]


@cache
def rsa(name: str = "ours", bits: int = 2_048) -> RSAKey:
    with warnings.catch_warnings(action="ignore"):  # of short ones
        return RSAKey.generate_key(bits)


@cache
def ec(curve: Any = "P-256") -> ECKey:
    return ECKey.generate_key(curve)


def public(key: RSAKey | ECKey) -> str:
    return key.as_pem(private=False).decode()


def b64(data: bytes | dict[str, Any]) -> str:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


@pytest.fixture
def settings(make_settings: MakeSettings) -> MakeSettings:
    def made(**fields: Any) -> Settings:
        base: dict[str, Any] = {
            "plans": {"free": Plan(), "plus": Plan()},
            "jwt_algorithm": "HS256",
            "jwt_key": SECRET,
            "jwt_issuer": "https://shop.example",
            "jwt_audience": "vestige",
        }
        return make_settings(**(base | fields))

    return made


@pytest.fixture
def claims(clock: Clock) -> dict[str, Any]:
    now = int(clock().timestamp())
    return {
        "iss": "https://shop.example",
        "aud": "vestige",
        "sub": "anna",
        "tenant": "shop",
        "tier": "plus",
        "iat": now,
        "exp": now + 600,
    }


def signed(claims: dict[str, Any], *, header: dict[str, Any] | None = None, key: Any = None) -> str:
    head = {"alg": "HS256"} | (header or {})
    return jwt.encode(head, claims, key or OctKey.import_key(SECRET), algorithms=[head["alg"]])


def by_hand(header: dict[str, Any], claims: dict[str, Any], secret: bytes) -> str:
    """HMAC with whatever the header says, as no library would."""
    body = f"{b64(header)}.{b64(claims)}"
    return f"{body}.{b64(hmac.new(secret, body.encode(), hashlib.sha256).digest())}"


def tokens(settings: Settings, clock: Clock) -> Tokens:
    made = Tokens.of(settings, clock)
    assert made is not None
    return made


class TestGoodOnes:
    @pytest.mark.parametrize("algorithm", ["HS256", "RS256", "ES256"])
    def test_each_algorithm(
        self, settings: MakeSettings, clock: Clock, claims: dict[str, Any], algorithm: str, tmp_path: Path
    ) -> None:
        keys: dict[str, Any] = {"HS256": OctKey.import_key(SECRET), "RS256": rsa(), "ES256": ec()}
        text = SECRET if algorithm == "HS256" else public(keys[algorithm])
        (tmp_path / "key").write_text(text + "\n")
        token = signed(claims, header={"alg": algorithm, "kid": "whatever"}, key=keys[algorithm])
        for setting in ({"jwt_key": text}, {"jwt_key": None, "jwt_key_file": tmp_path / "key"}):
            who = tokens(settings(jwt_algorithm=algorithm, **setting), clock).check(token)
            assert (who.tenant, who.user, who.tier, who.kind) == ("shop", "anna", "plus", "token")
            assert (who.role, who.scopes, who.is_admin) == ("member", PERSONAL, False)
            assert who.credential == "token:shop/anna"

    def test_keys_are_changed_over_with_both_in_place(
        self, settings: MakeSettings, clock: Clock, claims: dict[str, Any]
    ) -> None:
        keys = (public(rsa("old")) + public(rsa("new"))).replace("\n", "\\n")  # as an environment has them
        check = tokens(settings(jwt_algorithm="RS256", jwt_key=keys), clock).check
        for name in ("old", "new"):
            assert check(signed(claims, header={"alg": "RS256"}, key=rsa(name))).user == "anna"

    @pytest.mark.parametrize(
        ("change", "attribute", "value"),
        [
            ({"aud": ["other", "vestige"]}, "user", "anna"),
            ({"name": " Anna  B. "}, "name", "Anna B."),
            ({"name": 7}, "name", "anna"),
            ({"name": "x" * 200}, "name", "anna"),
            ({"tier": "gold"}, "tier", "free"),  # a plan there is not: the default one, never a better one
            ({"tier": ["plus"]}, "tier", "free"),
            ({"tier": None}, "tier", "free"),
            ({"exp": -5}, "user", "anna"),  # clocks may be a little apart
            ({"nbf": 5}, "user", "anna"),
            ({"role": "admin", "scope": "admin", "scopes": ["admin"]}, "scopes", PERSONAL),
        ],
    )
    def test_what_is_read_from_them(
        self,
        settings: MakeSettings,
        clock: Clock,
        claims: dict[str, Any],
        change: dict[str, Any],
        attribute: str,
        value: object,
    ) -> None:
        now = int(clock().timestamp())
        moved = {name: now + change[name] for name in ("exp", "nbf") if name in change}
        who = tokens(settings(), clock).check(signed(claims | change | moved))
        assert getattr(who, attribute) == value

    def test_a_tenant_for_those_that_name_none(
        self, settings: MakeSettings, clock: Clock, claims: dict[str, Any]
    ) -> None:
        del claims["tenant"]
        assert tokens(settings(jwt_tenant="shop"), clock).check(signed(claims)).tenant == "shop"
        with pytest.raises(BadToken, match="tenant"):
            tokens(settings(), clock).check(signed(claims))


BAD_CLAIMS: list[tuple[str, dict[str, Any]]] = [
    ("expired", {"exp": -11}),
    ("expires never", {"exp": None}),
    ("expires in words", {"exp": "tomorrow"}),
    ("expires in truth", {"exp": True}),
    ("lives too long", {"exp": 86_400 + 60}),
    ("lives for ever", {"exp": 10**400}),
    ("not yet", {"nbf": 60}),
    ("issued tomorrow", {"iat": 86_400}),
    ("another issuer", {"iss": "https://evil.example"}),
    ("a longer issuer", {"iss": "https://shop.example/"}),
    ("issuers", {"iss": ["https://shop.example"]}),
    ("no issuer", {"iss": None}),
    ("for others", {"aud": "other"}),
    ("for a part of us", {"aud": "vestig"}),
    ("for a text that holds us", {"aud": "vestige other"}),
    ("for nobody", {"aud": []}),
    ("no audience", {"aud": None}),
    ("no subject", {"sub": None}),
    ("an empty subject", {"sub": ""}),
    ("a number as subject", {"sub": 7}),
    ("a long subject", {"sub": "x" * 256}),
    ("the household", {"tenant": "home"}),
    ("a path as tenant", {"tenant": "../home"}),
    ("a tenant that is none", {"tenant": None}),
    ("tenants", {"tenant": ["shop"]}),
]


@pytest.mark.parametrize("change", [row[1] for row in BAD_CLAIMS], ids=[row[0] for row in BAD_CLAIMS])
def test_signed_and_refused_all_the_same(
    settings: MakeSettings, clock: Clock, claims: dict[str, Any], change: dict[str, Any]
) -> None:
    now = int(clock().timestamp())
    moved = {
        name: now + value
        for name, value in change.items()
        if name in ("exp", "nbf", "iat") and isinstance(value, int) and not isinstance(value, bool)
    }
    body = {name: value for name, value in (claims | change | moved).items() if value is not None}
    with pytest.raises(BadToken):
        tokens(settings(), clock).check(by_hand({"alg": "HS256"}, body, SECRET.encode()))


def _attacks(claims: dict[str, Any], algorithm: str, pem: str) -> dict[str, str]:
    """Tokens that a stranger can make who knows our public key and everything else but the secret."""
    good = signed(claims) if algorithm == "HS256" else signed(claims, header={"alg": "RS256"}, key=rsa())
    head, body, signature = good.split(".")
    stranger = rsa("stranger")
    jwk = stranger.as_dict(private=False)
    hs = {"alg": "HS256"}
    return {
        "none": f"{b64({'alg': 'none'})}.{body}.",
        "None": f"{b64({'alg': 'None'})}.{body}.",
        "none, with our signature": f"{b64({'alg': 'none'})}.{body}.{signature}",
        "no algorithm": f"{b64({'typ': 'JWT'})}.{body}.{signature}",
        "no signature": f"{head}.{body}.",
        "the public key as HMAC secret": by_hand(hs, claims, pem.encode()),
        "the same without its last line end": by_hand(hs, claims, pem.strip().encode()),
        "the public key as HMAC secret, said to be RS256": by_hand({"alg": "RS256"}, claims, pem.encode()),
        "an empty secret": by_hand(hs, claims, b""),
        "another hash": by_hand({"alg": "HS512"}, claims, SECRET.encode()),
        "a stranger's key": signed(claims, header={"alg": "RS256"}, key=stranger),
        "a stranger's key in the header": signed(claims, header={"alg": "RS256", "jwk": jwk}, key=stranger),
        "a stranger's key at an address": signed(
            claims, header={"alg": "RS256", "jku": "https://evil.example/keys"}, key=stranger
        ),
        "a key id that is a path": by_hand(hs | {"kid": "../../dev/null"}, claims, b""),
        "other claims under our signature": f"{head}.{b64(claims | {'sub': 'ben'})}.{signature}",
        "our signature cut": good[:-4],
        "a part that is not base64": f"{head}.{body}!.{signature}",
        "claims that are no object": f"{head}.{b64(b'[]')}.{signature}",
        "claims nested deep": f"{head}.{b64(b'[' * 5_000)}.{signature}",
        "an extension that must be understood": f"{b64({'alg': algorithm, 'crit': ['x'], 'x': 1})}.{body}.{signature}",
        "not encoded": f"{b64({'alg': algorithm, 'b64': False, 'crit': ['b64']})}.{body}.{signature}",
        "an unknown critical extension, signed": by_hand(hs | {"crit": ["x"], "x": 1}, claims, SECRET.encode())
        if algorithm == "HS256"
        else "..",
        "empty": "..",
        "huge": f"{head}.{'A' * 9_000}.{signature}",
        "not ASCII": f"{head}.{body}é.{signature}",
    }


@pytest.mark.parametrize("algorithm", ["HS256", "RS256"])
def test_what_a_stranger_can_make_opens_nothing(
    settings: MakeSettings, clock: Clock, claims: dict[str, Any], algorithm: str
) -> None:
    pem = public(rsa())
    check = tokens(settings(jwt_algorithm=algorithm, jwt_key=SECRET if algorithm == "HS256" else pem), clock).check
    for name, token in _attacks(claims, algorithm, pem).items():
        with pytest.raises(BadToken):
            check(token)
            pytest.fail(f"{name} was let in")


class TestSettings:
    @pytest.mark.parametrize(
        "fields",
        [
            {"jwt_algorithm": None},
            {"jwt_key": None},
            {"jwt_key_file": "/some/key"},
            {"jwt_issuer": None},
            {"jwt_audience": ""},
            {"jwt_tenant": "home"},
            {"jwt_tenant": "No Slug"},
            {"jwt_algorithm": "none"},
            {"jwt_algorithm": "HS512"},
            {"jwt_longest_minutes": 0},
        ],
    )
    def test_half_of_them_stop_the_start(self, settings: MakeSettings, fields: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            settings(**fields)

    @pytest.mark.parametrize(
        ("algorithm", "text"),
        [
            ("HS256", "short"),
            ("HS256", " " * 40),
            ("HS256", public(rsa())),
            ("RS256", SECRET),
            ("RS256", public(ec())),
            ("RS256", public(rsa("weak", 1_024))),
            ("RS256", rsa().as_pem(private=True).decode()),
            ("RS256", public(rsa()) * 5),
            ("ES256", public(rsa())),
            ("ES256", public(ec("P-384"))),
            ("ES256", ""),
        ],
    )
    def test_a_key_that_does_not_fit_stops_the_start(self, algorithm: str, text: str) -> None:
        with pytest.raises(SettingsError) as refused:
            read_keys(algorithm, text)
        assert SECRET not in refused.value.message

    def test_a_file_that_is_not_there(self, settings: MakeSettings, clock: Clock, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match="cannot be read"):
            Tokens.of(settings(jwt_key=None, jwt_key_file=tmp_path / "none"), clock)

    def test_the_secret_is_not_shown(self, settings: MakeSettings) -> None:
        assert SECRET not in repr(settings())


class TestSubjects:
    @pytest.mark.parametrize("subject", ["anna", "a", "u-12_3", "7"])
    def test_ids_are_themselves(self, subject: str) -> None:
        assert user_id(subject) == subject

    @pytest.mark.parametrize("subject", ["auth0|123", "anna@shop.example", "Anna", "-", "sub-anna", "日本", "a/../b"])
    def test_others_are_mapped(self, subject: str) -> None:
        mapped = user_id(subject)
        assert mapped == f"sub-{hashlib.sha256(subject.encode()).hexdigest()[:40]}"
        assert user_id(mapped) != mapped

    @given(st.lists(st.text(min_size=1, max_size=80), min_size=2, max_size=20, unique=True))
    def test_no_two_share_one(self, subjects: list[str]) -> None:
        assert len({user_id(subject) for subject in subjects}) == len(subjects)


class TestAtTheDoor:
    @pytest.fixture
    async def accounts(self, redis_pair: RedisPair, settings: MakeSettings, clock: Clock) -> Accounts:
        return Accounts(redis_pair.state, settings(), owner_token=OWNER_TOKEN, clock=clock)

    async def test_a_token_stands_beside_keys_and_the_owners(self, accounts: Accounts, claims: dict[str, Any]) -> None:
        assert (await accounts.by_bearer(signed(claims), remote="1.2.3.4"))[0].kind == "token"
        assert (await accounts.by_bearer(OWNER_TOKEN, remote="1.2.3.4"))[0].kind == "owner"
        _, secret = await accounts.create_key("home", "k", ("chat",))
        assert (await accounts.by_bearer(secret, remote="1.2.3.4"))[0].kind == "key"

    async def test_wrong_ones_are_counted_and_not_explained(
        self, accounts: Accounts, claims: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("server.accounts.limits.WRONG_PER_MINUTE", 3)
        texts = set()
        for bad in (signed(claims | {"aud": "other"}), signed(claims)[:-4], "a.b.c"):
            with pytest.raises(Unauthenticated) as refused:
                await accounts.by_bearer(bad, remote="1.2.3.4")
            texts.add(refused.value.message)
        assert len(texts) == 1
        with pytest.raises(RateLimited):
            await accounts.by_bearer("a.b.c", remote="1.2.3.4")
        assert (await accounts.by_bearer(signed(claims), remote="1.2.3.4"))[0].user == "anna"

    async def test_without_the_settings_none_is_taken(
        self, redis_pair: RedisPair, make_settings: MakeSettings, clock: Clock, claims: dict[str, Any]
    ) -> None:
        accounts = Accounts(redis_pair.state, make_settings(), owner_token=OWNER_TOKEN, clock=clock)
        with pytest.raises(Unauthenticated):
            await accounts.by_bearer(signed(claims), remote="1.2.3.4")
