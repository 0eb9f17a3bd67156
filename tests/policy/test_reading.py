"""The policy file: what it may say, and which line is wrong where it says something else."""

from pathlib import Path

import pytest

from server.errors import SettingsError
from server.policy.model import EVERYTHING, NEVER, SELF_HARM, ContentPolicy
from server.policy.reading import example, examples_of, load_policy, read_policy, shipped_examples


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("levels = [", "is no valid TOML"),
        ('levels = ["a", "a"]', "the level 'a' is there twice"),
        ('levels = ["general", "never"]', "'never' is no level of the ladder"),
        ('levels = ["general"]\n[plans]\nfree = "mature"', "plans names the level 'mature'"),
        ('levels = ["general"]\n[examples]\nmatur = ["x"]', "examples names the level 'matur'"),
        ('levels = ["general", "wild"]', "the level 'wild' has no examples"),
        ('levels = ["general"]\nshipped = false\n[phrases]\ngeneral = ["x"]', "needs examples of ordinary talk"),
        ('levels = ["general"]\n[declin]\nabove = ["No."]', "p.toml:2: declin: unknown key"),
        ('levels = ["general"]\n[decline]\nabove = []', "p.toml:3: decline.above"),
        ('levels = ["general"]\nclassifier = "no colon"', "p.toml:2: classifier"),
        ('levels = ["general"]\n[self_harm]\nreply = "shout"', "p.toml:3: self_harm.reply"),
    ],
)
def test_a_mistake_is_named(text: str, problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_policy(text, "p.toml")
    assert problem in caught.value.message


def test_every_plan_must_have_a_ceiling(tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    file.write_text(example())
    assert load_policy(file, ["free"]).ceiling("free") == "romance"
    with pytest.raises(SettingsError, match="how far the plan 'plus' goes"):
        load_policy(file, ["free", "plus"])
    with pytest.raises(SettingsError, match="cannot be read"):
        load_policy(tmp_path / "none.toml")


def test_without_a_file_there_is_one_level_and_what_ships_is_never_still_holds() -> None:
    policy = load_policy(None, ["free", "plus"])
    assert policy.levels == (EVERYTHING,)
    assert policy.ceiling("free") == EVERYTHING
    examples = examples_of(policy)
    shipped = shipped_examples()
    assert set(examples[EVERYTHING]) == {*shipped["general"], *shipped["romance"], *shipped["mature"]}
    assert examples[NEVER] == shipped["never"]
    assert examples[SELF_HARM] == shipped["self_harm"]


def test_a_level_that_is_left_out_lends_nothing_upwards() -> None:
    policy = ContentPolicy(levels=("calm", "mature"), plans={"free": "calm"})
    examples = examples_of(policy)
    shipped = shipped_examples()
    assert examples["calm"] == shipped["general"]
    assert examples["mature"] == shipped["mature"]


@pytest.mark.parametrize(
    ("level", "plan"), [("general", "free"), ("romance", "plus"), ("mature", "top"), (NEVER, None)]
)
def test_the_plan_that_unlocks_is_the_lowest_that_does(level: str, plan: str | None) -> None:
    policy = ContentPolicy(
        levels=("general", "romance", "mature"),
        plans={"all": "mature", "free": "general", "plus": "romance", "more": "romance", "top": "mature"},
    )
    assert policy.unlocked_by(level) == (plan if plan != "top" else "all")


def test_the_shipped_examples_are_distinct_and_each_list_is_large_enough() -> None:
    shipped = shipped_examples()
    texts = [text for texts in shipped.values() for text in texts]
    assert len(texts) == len(set(texts))
    assert set(shipped) == {"general", "romance", "mature", "never", "self_harm"}
    assert all(len(texts) >= 15 for texts in shipped.values())
