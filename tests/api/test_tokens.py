"""A product's tokens at the door: the same rules as for keys."""

import time

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from tests.api.conftest import OpenDoor

SECRET = "a-secret-of-the-shop-that-is-long-enough"
SETTINGS = {"jwt_algorithm": "HS256", "jwt_key": SECRET, "jwt_issuer": "shop", "jwt_audience": "vestige"}


def token(**more: object) -> str:
    claims = {"iss": "shop", "aud": "vestige", "sub": "anna", "tenant": "shop", "exp": int(time.time()) + 600}
    return jwt.encode({"alg": "HS256"}, claims | more, OctKey.import_key(SECRET))


async def test_a_token_speaks_for_its_person_and_nobody_else(open_door: OpenDoor) -> None:
    async with open_door(**SETTINGS) as door:
        status, said = await door.ask("POST", "/v1/say/mira", token=token(tier="plus"), json={"message": "Hi"})
        assert (status, said["scope"], said["tier"]) == (200, "shop/anna/mira", "plus")
        body = {"message": "Hi", "user_id": "ben"}
        status, error = await door.ask("POST", "/v1/say/mira", token=token(), json=body)
        assert (status, error["error"]["code"]) == (403, "forbidden")
        status, error = await door.ask("GET", "/v1/admin/users", token=token())
        assert (status, error["error"]["details"]) == (403, {"scope": "admin"})
        status, me = await door.ask("GET", "/v1/me", token=token(sub="auth0|7", name="Anna"))
        assert (status, me["tenant"], me["role"], me["user"]["name"]) == (200, "shop", "member", "Anna")
        assert me["user"]["id"].startswith("sub-")
        status, error = await door.ask("GET", "/v1/me", token=token(exp=1))
        assert (status, error["error"]["code"]) == (401, "unauthenticated")


@pytest.mark.parametrize(("fields", "policy"), [({"key_requests_per_minute": 2}, "user"), ({}, "turns")])
async def test_limits_hold_for_tokens(open_door: OpenDoor, fields: dict[str, int], policy: str) -> None:
    async with open_door(**SETTINGS, **fields) as door:
        answers = [
            await door.ask("POST", "/v1/say/mira", token=token(jti=number), json={"message": "Hi"})
            for number in range(3)
        ]
        assert [status for status, _ in answers] == [200, 200, 429]
        assert answers[-1][1]["error"]["details"]["policy"] == policy
