from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.memory.ranking import (
    FEATURES,
    ConversationIndex,
    IndexedTurn,
    Ranking,
    WindowFacts,
    date_header,
    feature_matrix,
    pack,
    parse_query,
    rank,
    render,
    shipped_weights,
)
from server.memory.ranking import candidates as coarse
from server.memory.tokens import estimate_tokens

START = datetime(2023, 5, 8, 13, 56, tzinfo=UTC)
SPEAKERS = ("Sam", "Mia")
TEXTS = (
    "",
    "ok",
    "I painted a lake",
    "你好，世界",
    "😀😀",
    "Where is the red dress?",
    "word " * 60,
    "last week",
    "x" * 300,
)
turn_texts = st.lists(st.sampled_from(TEXTS) | st.text(max_size=40), max_size=30)


def vector(text: str, dim: int = 16) -> np.ndarray:
    made = np.random.default_rng(sum(text.encode("utf-8", "replace"))).normal(size=dim).astype(np.float32)
    return made / np.linalg.norm(made)


def talk(texts: Sequence[str], gap: timedelta = timedelta(minutes=1), first: int = 1) -> list[IndexedTurn]:
    return [
        IndexedTurn(seq, SPEAKERS[(seq - 1) % 2], text, START + gap * (seq - 1), vector(text))
        for seq, text in enumerate(texts, first)
    ]


def ask(index: ConversationIndex, text: str, before_seq: int | None = None, now: datetime | None = None) -> Ranking:
    query = parse_query(text, SPEAKERS)
    return rank(index, query, np.stack([vector(part) for part in query.texts]), before_seq=before_seq, now=now)


def seqs(index: ConversationIndex, ranking: Ranking) -> list[int]:
    return index.seq.rows[ranking.rows].tolist()


def test_an_empty_index_answers_nothing() -> None:
    index = ConversationIndex.build([])
    assert len(index) == 0
    assert pack(index, ask(index, "anything?"), 1_000) == ()


def test_the_turn_that_shares_words_and_meaning_comes_first() -> None:
    index = ConversationIndex.build(
        talk(["good morning", "hi", "I painted a lake in Sweden", "how nice", "bye", "bye"])
    )
    assert seqs(index, ask(index, "Who painted a lake in Sweden"))[0] == 3


def test_context_lifts_an_answer_that_shares_no_word() -> None:
    filler = [f"filler number {at}" for at in range(12)]
    index = ConversationIndex.build(talk([*filler, "Which dress did you order?", "The green one", *filler]))
    order = seqs(index, ask(index, "dress order"))
    assert order.index(14) < 6


def test_a_speaker_asked_about_is_preferred() -> None:
    index = ConversationIndex.build(talk(["I love tea", "I love tea", "I love tea", "I love tea"]))
    assert set(seqs(index, ask(index, "What does Mia love?"))[:2]) == {2, 4}
    assert set(seqs(index, ask(index, "What do I love?"))[:2]) == {1, 3}


def test_a_named_day_is_preferred() -> None:
    index = ConversationIndex.build(talk(["we had tea"] * 20, gap=timedelta(days=1)))
    assert seqs(index, ask(index, "What did we have on 12 May 2023?"))[0] == 5
    assert seqs(index, ask(index, "What did we have yesterday?", now=START + timedelta(days=10)))[0] == 10


def test_turns_that_are_in_the_prompt_already_are_left_out() -> None:
    index = ConversationIndex.build(talk(["tea"] * 10))
    assert sorted(seqs(index, ask(index, "tea", before_seq=4))) == [1, 2, 3]
    assert seqs(index, ask(index, "tea", before_seq=1)) == []


def test_facts_find_turns_of_their_window_by_words_and_by_meaning() -> None:
    turns = talk([f"filler number {at}" for at in range(30)])
    fact = "Works as a beekeeper"
    index = ConversationIndex.build(turns, [WindowFacts(13, 18, (fact,), np.stack([vector(fact)]))])
    assert set(seqs(index, ask(index, "beekeeper"))[:6]) == set(range(13, 19))
    later = ConversationIndex.build(turns).extended([], [WindowFacts(13, 18, (fact,), np.stack([vector(fact)]))])
    assert seqs(later, ask(later, "beekeeper")) == seqs(index, ask(index, "beekeeper"))


def test_newer_facts_replace_a_windows_older_ones() -> None:
    turns = talk([f"filler number {at}" for at in range(12)])
    index = ConversationIndex.build(turns, [WindowFacts(1, 6, ("beekeeper",), np.stack([vector("beekeeper")]))])
    index = index.extended([], [WindowFacts(1, 6, ("sailor",), np.stack([vector("sailor")]))])
    assert set(seqs(index, ask(index, "sailor"))[:6]) == set(range(1, 7))
    query = parse_query("beekeeper", SPEAKERS)
    _, matrix = feature_matrix(index, query, np.stack([vector("something else")]))
    assert not matrix[:, FEATURES.index("words_9")].any()


@settings(max_examples=60, deadline=None)
@given(turn_texts, st.lists(st.integers(0, 30), max_size=4))
def test_growing_gives_the_same_index_as_building(texts: list[str], cuts: list[int]) -> None:
    turns = talk(texts, gap=timedelta(hours=1.5))
    built = ConversationIndex.build(turns)
    grown = ConversationIndex.build([])
    bounds = sorted({0, *(min(cut, len(turns)) for cut in cuts), len(turns)})
    for start, end in pairwise(bounds):
        grown = grown.extended(turns[start:end])
    question = "Where is the red dress that Mia painted last week?"
    one, other = ask(built, question), ask(grown, question)
    np.testing.assert_array_equal(one.rows, other.rows)
    np.testing.assert_allclose(one.scores, other.scores, atol=1e-4)


def test_older_versions_of_an_index_do_not_change() -> None:
    first = ConversationIndex.build(talk(["tea", "cake"]))
    left = first.extended(talk(["lake"], first=3))
    right = first.extended(talk(["dress"], first=3))
    assert (len(first), len(left), len(right)) == (2, 3, 3)
    assert [said.text for said in left.said[:3]] == ["tea", "cake", "lake"]
    assert [said.text for said in right.said[:3]] == ["tea", "cake", "dress"]
    assert seqs(left, ask(left, "lake"))[0] == 3
    assert seqs(first, ask(first, "lake")) != []


@pytest.mark.parametrize("first", [1, 2])
def test_turns_out_of_order_are_refused(first: int) -> None:
    with pytest.raises(ValueError, match="order"):
        ConversationIndex.build(talk(["a", "b"])).extended(talk(["c"], first=first))


@settings(max_examples=80, deadline=None)
@given(turn_texts, st.integers(0, 400), st.sampled_from([timedelta(minutes=1), timedelta(hours=7)]))
def test_what_is_packed_never_costs_more_than_the_budget(texts: list[str], budget: int, gap: timedelta) -> None:
    index = ConversationIndex.build(talk(texts, gap))
    spans = pack(index, ask(index, "red dress lake"), budget)
    assert estimate_tokens(render(spans)) <= budget
    flat = [turn.seq for span in spans for turn in span.turns]
    assert flat == sorted(set(flat))
    for span in spans:
        assert (span.first_seq, span.last_seq) == (span.turns[0].seq, span.turns[-1].seq)
        assert [turn.seq for turn in span.turns] == list(range(span.first_seq, span.last_seq + 1))
        assert span.start.date() == span.end.date()


def test_a_turn_larger_than_the_budget_is_passed_over() -> None:
    index = ConversationIndex.build(talk(["lake " * 500, "a lake"]))
    assert [span.first_seq for span in pack(index, ask(index, "lake"), 60)] == [2]
    alone = ConversationIndex.build(talk(["lake " * 500]))
    assert pack(alone, ask(alone, "lake"), 60) == ()


def test_neighbours_become_one_span_and_a_day_is_named_once() -> None:
    index = ConversationIndex.build(talk(["lake", "lake", "x " * 900, "lake"]))
    spans = pack(index, ask(index, "lake"), 100)
    assert [(span.first_seq, span.last_seq) for span in spans] == [(1, 2), (4, 4)]
    assert render(spans) == "[Mon 2023-05-08]\nSam: lake\nMia: lake\n\nMia: lake"
    assert date_header(START) == "[Mon 2023-05-08]"


def test_the_coarse_stage_keeps_what_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"filler number {at} about nothing" for at in range(4_000)]
    texts[1_234] = "my grandmother kept a parrot called Bruno"
    texts[2_345] = "zz"
    turns = talk(texts)
    turns[2_345] = IndexedTurn(2_346, "Mia", "zz", turns[2_345].created, vector("What was the parrot's name?"))
    index = ConversationIndex.build(turns)
    ranking = ask(index, "What was the parrot's name?")
    assert len(ranking.rows) < 4_000
    assert {1_235, 2_346} <= set(seqs(index, ranking)[:20])
    monkeypatch.setattr(coarse, "EVERYTHING", 10_000)
    assert seqs(index, ask(index, "What was the parrot's name?"))[0] == seqs(index, ranking)[0]


def test_shipped_weights_fit_the_features() -> None:
    assert shipped_weights().shape == (len(FEATURES),)
    assert np.isfinite(shipped_weights()).all()


def test_size_grows_with_the_conversation() -> None:
    small, large = (ConversationIndex.build(talk(["some words here"] * n)).nbytes for n in (10, 1_000))
    assert 10 * small < large < 200 * 10 * small
