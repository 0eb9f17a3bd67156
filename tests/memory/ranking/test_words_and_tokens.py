import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.memory.ranking.words import hashed, stems, term_ids, words
from server.memory.tokens import estimate_tokens, weigh


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("  \n ", 0),
        ("hello", 2),
        ("one two three", 4),
        ("hello 😀 world", 4),
        ("你好世界", 4),
        ("привет как дела", 4),
        ("안녕 하세요", 3),
        ("x" * 400, 100),
    ],
)
def test_tokens(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == tokens


@given(st.text(), st.text())
def test_weights_of_joined_pieces_add_up(left: str, right: str) -> None:
    assert weigh(f"{left}\n{right}") == pytest.approx(weigh(left) + weigh(right))


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("Caroline's paintings, 2023!", ["caroline", "paintings", "2023"]),
        ("日本語", ["日本", "本語"]),
        ("猫が好き and cats", ["猫が", "が好", "好き", "and", "cats"]),
        ("猫", ["猫"]),
        ("Мне нравится чай", ["мне", "нравится", "чай"]),
        ("snake_case", ["snake", "case"]),
        ("😀", []),
    ],
)
def test_words(text: str, split: list[str]) -> None:
    assert words(text) == split


def test_inflections_meet_and_stop_words_go() -> None:
    assert stems(["i", "was", "painting", "paintings", "painted"]) == ["paint", "paint", "paint"]
    assert term_ids("paintings") == term_ids("She painted it")


@given(st.text())
def test_terms_are_32_bit_and_repeatable(text: str) -> None:
    found = term_ids(text)
    assert found == hashed(words(text))
    assert all(0 <= term < 2**32 for term in found)
