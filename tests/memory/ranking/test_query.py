from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.memory.ranking import embedding_text, parse_query
from server.memory.ranking.dates import NamedDate, find_dates
from server.memory.ranking.words import term_ids

PAIR = ("Sam", "Melanie Fox")


@pytest.mark.parametrize(
    ("text", "about"),
    [
        ("What did Melanie paint?", "Melanie Fox"),
        ("what did melanie's sister say", "Melanie Fox"),
        ("Did Mel go hiking?", "Melanie Fox"),
        ("Where do Sam and Melanie live?", None),
        ("What is my sister's name?", "Sam"),
        ("Where were you born?", "Melanie Fox"),
        ("Do you remember my sister?", "Sam"),
        ("Can you tell me where I grew up?", "Sam"),
        ("Do you remember what I told you about the lake?", "Sam"),
        ("Did we ever go to the lake?", None),
        ("Did you like my cake?", None),
        ("I had a long day. What is your favourite food?", "Melanie Fox"),
        ("", None),
    ],
)
def test_who_a_question_is_about(text: str, about: str | None) -> None:
    assert parse_query(text, PAIR, asker=0).speaker == about


def test_pronouns_turn_with_the_asker_and_mean_no_one_to_an_outsider() -> None:
    assert parse_query("Where is my coat?", PAIR, asker=1).speaker == "Melanie Fox"
    assert parse_query("Where is my coat?", PAIR, asker=None).speaker is None


def test_names_are_left_out_of_what_is_embedded() -> None:
    assert embedding_text("Sam", "Wow, Melanie! Sam's lake", PAIR) == "Wow! lake"
    assert embedding_text("Sam", "Sam", PAIR) == "Sam"
    assert parse_query("When did Melanie paint the lake?", PAIR).texts == ("When did paint the lake?",)


def test_the_question_in_a_message_counts_more_than_the_rest() -> None:
    query = parse_query("Work was awful today. Where did my sister move? It rains.", PAIR)
    assert query.texts == ("Work was awful today. Where did my sister move? It rains.", "Where did my sister move?")
    weights = dict(query.terms)
    assert weights[term_ids("sister")[0]] == 3
    assert weights[term_ids("awful")[0]] == 1


@pytest.mark.parametrize("text", ["word " * 2_000, "x" * 10_000, "你" * 10_000, "why? " * 2_000, "a, b. c? " * 1_200])
def test_a_query_of_ten_thousand_characters_is_bounded(text: str) -> None:
    query = parse_query(text, PAIR)
    assert len(query.texts) <= 2
    assert all(0 < len(part) <= 400 for part in query.texts)
    assert len(query.text) <= 2_001


@given(st.text(), st.tuples(st.text(), st.text()))
def test_any_text_and_any_names_can_be_parsed(text: str, names: tuple[str, str]) -> None:
    query = parse_query(text, names)
    assert 1 <= len(query.texts) <= 2
    assert all(query.texts)
    assert embedding_text(names[0], text, names)


@pytest.mark.parametrize(
    ("text", "rest", "found"),
    [
        ("on 8 May 2023?", "?", NamedDate(2023, 5, 8)),
        ("What happened on May 8th, 2023 at work?", "What happened at work?", NamedDate(2023, 5, 8)),
        ("camping in July", "camping", NamedDate(None, 7, None)),
        ("in Dec 2022", "", NamedDate(2022, 12, None)),
        ("on 2023-05-08", "", NamedDate(2023, 5, 8)),
        ("what did I say yesterday?", "what did I say yesterday?", NamedDate(ago=1)),
        ("two weeks ago", "two weeks ago", NamedDate(ago=17, width=6)),
        ("3 days ago", "3 days ago", NamedDate(ago=3)),
    ],
)
def test_dates(text: str, rest: str, found: NamedDate) -> None:
    assert find_dates(text) == (rest, (found,))


@pytest.mark.parametrize("text", ["you may march on", "Jan and Mar", "2023-13-40", "99 May", "an august moment"])
def test_words_that_only_look_like_dates(text: str) -> None:
    assert [one for one in find_dates(text)[1] if one.day] == []


def test_a_date_without_a_year_means_every_year_of_the_conversation() -> None:
    meant = NamedDate(None, 2, 29).ranges(date(2023, 1, 1), date(2024, 12, 31), None)
    assert meant == [(date(2024, 2, 29), date(2024, 2, 29))]
    assert NamedDate(ago=1).ranges(date(2023, 1, 1), date(2024, 1, 1), None) == []
    assert NamedDate(ago=1).ranges(date(2023, 1, 1), date(2024, 1, 1), date(2024, 3, 1)) == [
        (date(2024, 2, 29), date(2024, 2, 29))
    ]
