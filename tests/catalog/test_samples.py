"""The two characters that ship are complete cards, and safe to read aloud."""

import re
from pathlib import Path

import pytest

from server.catalog.cards import Card
from server.catalog.lore import lore_for
from server.catalog.macros import expand
from server.catalog.reading import read_card
from server.catalog.shipped import sample_cards
from server.ids import check_slug
from server.memory.tokens import estimate_tokens

SAMPLES = dict(sample_cards())


def test_there_are_two_with_names_for_ids() -> None:
    assert len(SAMPLES) == 2
    for id, card in SAMPLES.items():
        assert check_slug(id, "id") == card.name.lower().replace(" ", "-")


@pytest.mark.parametrize("card", SAMPLES.values(), ids=SAMPLES.keys())
def test_a_sample_is_complete(card: Card) -> None:
    for field in ("description", "personality", "scenario", "first_mes", "mes_example", "system_prompt"):
        assert len(getattr(card, field)) > 100, field
    assert card.post_history_instructions
    assert card.creator_notes
    assert len(card.alternate_greetings) >= 2
    assert len(set(card.greetings)) == len(card.greetings)
    assert {"sfw", "adult", "original"} <= set(card.tags)
    assert card.mes_example.count("<START>") >= 3


@pytest.mark.parametrize("card", SAMPLES.values(), ids=SAMPLES.keys())
def test_a_sample_leaves_most_of_a_small_prompt_to_the_talk(card: Card) -> None:
    fixed = (card.description, card.personality, card.scenario, card.system_prompt, card.mes_example)
    assert sum(map(estimate_tokens, fixed)) < 1_600


@pytest.mark.parametrize("card", SAMPLES.values(), ids=SAMPLES.keys())
def test_a_sample_uses_only_the_two_macros(card: Card) -> None:
    texts = [card.description, card.personality, card.scenario, card.system_prompt, card.mes_example, *card.greetings]
    for text in texts:
        assert not re.search(r"\{\{|\}\}|<(?!START>)", expand(text, "A", "B"))


@pytest.mark.parametrize("card", SAMPLES.values(), ids=SAMPLES.keys())
def test_every_lore_entry_of_a_sample_can_be_called(card: Card) -> None:
    for entry in card.data["character_book"]["entries"]:
        for key in entry["keys"]:
            found = [it.content for it in lore_for(card, f"Well, {key}.", 400)]
            assert entry["content"] in found, key


def test_the_example_in_the_documentation_is_a_card() -> None:
    page = (Path(__file__).parents[2] / "docs" / "characters.md").read_text()
    [example] = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    assert read_card(example.encode()).card.name == "Odile"
