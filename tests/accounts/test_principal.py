"""Whom a credential may act for: the table behind DESIGN's "Who may do what"."""

import pytest

from server.accounts.principal import PERSONAL, SCOPES, Principal, scopes_of
from server.errors import Forbidden, InvalidId, InvalidRequest, VestigeError


def person(user: str | None = "anna", scopes: frozenset[str] = PERSONAL) -> Principal:
    return Principal("home", user, "Anna", "member", scopes, "free", "session", "session:home/anna")


UNBOUND = person(user=None)
ADMIN = person(scopes=SCOPES)


@pytest.mark.parametrize(
    ("who", "named", "expected"),
    [
        (person(), None, "anna"),
        (person(), "anna", "anna"),
        (person(), "ben", Forbidden),
        (ADMIN, "ben", "ben"),
        (ADMIN, None, "anna"),
        (UNBOUND, "ben", "ben"),
        (UNBOUND, None, InvalidRequest),
        (person(), "", InvalidId),
        (person(), "../anna", InvalidId),
        (ADMIN, "home/ben", InvalidId),
        (UNBOUND, "ben:1", InvalidId),
        (UNBOUND, "🙂", InvalidId),
        (UNBOUND, "b" * 10_000, InvalidId),
    ],
)
def test_whom_a_request_is_for(who: Principal, named: str | None, expected: str | type[VestigeError]) -> None:
    if isinstance(expected, str):
        assert who.acts_for(named) == expected
    else:
        with pytest.raises(expected) as refused:
            who.acts_for(named)
        assert type(refused.value) is expected


def test_a_scope_that_is_missing_is_named() -> None:
    with pytest.raises(Forbidden, match="'admin'"):
        person().need("admin")
    ADMIN.need("admin")


@pytest.mark.parametrize(
    ("role", "scopes"), [("owner", SCOPES), ("admin", SCOPES), ("member", PERSONAL), ("service", PERSONAL)]
)
def test_what_a_role_may_do(role: str, scopes: frozenset[str]) -> None:
    assert scopes_of(role) == scopes  # type: ignore[arg-type]
