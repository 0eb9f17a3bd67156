"""What a turn may cost, and texts cut to size."""

from hypothesis import given
from hypothesis import strategies as st

from server.chat.budget import Budget, clipped
from server.memory.tokens import estimate_tokens
from server.settings import Plan


class TestBudget:
    def test_a_plan_is_kept_where_the_model_can_take_it(self) -> None:
        assert Budget.of(Plan(), 32_000) == Budget.of(Plan(), None) == Budget(5_200, 1_500, 800)

    def test_a_small_model_gets_less_of_everything(self) -> None:
        small = Budget.of(Plan(), 2_048)
        assert small.prompt + small.reply <= 2_048 * 0.75
        assert small.recall < small.prompt / 3

    def test_the_bundled_model_gets_no_more_than_people_would_wait_for(self) -> None:
        bundled = Budget.of(Plan(), 4_096, bundled=True)
        assert bundled.prompt + bundled.reply <= 1_400
        assert Budget.of(Plan(), 1_024, bundled=True) == Budget.of(Plan(), 1_024)


class TestClipped:
    @given(st.text(alphabet="ab. \n中", max_size=600), st.integers(0, 200), st.booleans())
    def test_never_more_than_asked(self, text: str, tokens: int, keep_end: bool) -> None:
        cut = clipped(text, tokens, keep_end=keep_end)
        assert estimate_tokens(cut) <= tokens
        assert cut == text or "…" in cut or cut == ""

    def test_cuts_after_a_sentence(self) -> None:
        assert (
            clipped("One two three four. Five six seven. Eight nine ten eleven", 14)
            == "One two three four. Five six seven. …"
        )
