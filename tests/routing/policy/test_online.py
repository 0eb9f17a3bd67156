"""A policy against the lists of its providers."""

from datetime import date
from typing import Any

import pytest

from server.routing.catalogue import read_models
from server.routing.policy.online import check_listed
from server.routing.policy.problems import Noted, Problem
from server.routing.policy.reading import read_policy
from server.toml_lines import Lines

TODAY = date(2026, 11, 27)
TEXT = """\
default_mode = "m"
[models.one]
id = "alpha/one"
max_price = { prompt = 1, completion = 2 }
[models.two]
id = "beta/two:nitro"
[models.own]
id = "anything"
provider = "mine"
[providers.mine]
base_url = "http://127.0.0.1/v1"
[modes.m]
[tiers.free]
m = ["one", "two", "own"]
"""


def entry(id: str, prompt: str = "0.000001", completion: str = "0.000002", **more: Any) -> dict[str, Any]:
    return {"id": id, "pricing": {"prompt": prompt, "completion": completion}, **more}


def found(*entries: dict[str, Any], context_tokens: int = 6_000) -> list[Problem]:
    policy, problems = read_policy(TEXT)
    assert policy is not None, problems
    noted = Noted(Lines(TEXT))
    listings = {"openrouter": read_models({"data": list(entries)})}
    check_listed(policy, listings, noted, today=TODAY, context_tokens=context_tokens)
    return noted.found


ONE, TWO = entry("alpha/one"), entry("beta/two")


def test_models_that_are_there_within_their_caps_are_good() -> None:
    assert found(ONE, TWO) == []


@pytest.mark.parametrize(
    ("entries", "line", "key", "words", "fatal"),
    [
        ((entry("alpha/ones"), TWO), 3, "models.one.id", "has no 'alpha/one'; did you mean 'alpha/ones'?", True),
        ((entry("zzz"), TWO), 3, "models.one.id", "has no 'alpha/one' among its 2 models", True),
        ((entry("alpha/one", expiration_date="2026-11-27"), TWO), 3, "models.one.id", "ended on 2026-11-27", True),
        ((entry("alpha/one", expiration_date="2026-12-20"), TWO), 3, "models.one.id", "ends on 2026-12-20", False),
        (
            (entry("alpha/one", expiration_date="2027-12-20"), entry("beta/two", "-1")),
            5,
            "models.two",
            "negative",
            False,
        ),
        ((ONE, entry("beta/two", "0.2")), 5, "models.two", "absurd", False),
        ((entry("alpha/one", completion="0.000003"), TWO), 4, "models.one.max_price", "$1 and $3", True),
        ((entry("alpha/one", context_length=4_000), TWO), 2, "models.one", "takes 4,000 tokens", False),
    ],
)
def test_what_the_list_says_against_it(
    entries: tuple[dict[str, Any], ...], line: int, key: str, words: str, fatal: bool
) -> None:
    [problem] = found(*entries)
    assert (problem.line, problem.key, problem.fatal) == (line, key, fatal)
    assert words in problem.message


def test_a_provider_without_a_list_says_nothing() -> None:
    assert found() == []
