"""`{{char}}` and `{{user}}` are put in as plain text, once."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.catalog.macros import expand


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("{{char}} sees {{user}}.", "Halina sees Sam."),
        ("{{Char}} {{USER}} {{ user }}", "Halina Sam Sam"),
        ("<BOT> <bot> <USER> <User> <char>", "Halina Halina Sam Sam Halina"),
        ("{{user}}{{user}}", "SamSam"),
        ("{user} {{users}} <users> {{}} {{ }}", "{user} {{users}} <users> {{}} {{ }}"),
        ("<START>\n{{random:a,b}} {{roll:6}} {{// note}}", "<START>\n{{random:a,b}} {{roll:6}} {{// note}}"),
        ("", ""),
    ],
)
def test_names_take_the_place_of_macros(text: str, expanded: str) -> None:
    assert expand(text, "Halina", "Sam") == expanded


def test_a_name_that_holds_a_macro_is_only_a_name() -> None:
    assert expand("{{user}}, meet {{char}}", "{{user}}", r"{{char}} \1 <USER>") == r"{{char}} \1 <USER>, meet {{user}}"


@settings(deadline=None)
@given(st.text(), st.text(), st.text())
def test_text_without_braces_or_angles_stays_as_it_is(text: str, char: str, user: str) -> None:
    text = text.replace("{", "").replace("<", "")
    assert expand(text, char, user) == text
