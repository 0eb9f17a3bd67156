"""Scene From Memory's prompt: no name, no more tokens than allowed, and little of what was said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfy_nodes.companion_memory.scene import Scene, details, scene_from_memory, without_names
from comfy_nodes.companion_memory.views import Memory, Worn

COAT = Worn("coat", "Red coat", "a long red coat", "")
MEMORY = Memory(
    remembered=("We met on the pier, it was foggy.", "In the garden at noon."),
    recent=("Mira waited by the window in the evening while it was raining.",),
    names=("Mira", "Mira Sol"),
)


def words(text: str) -> int:
    return len(text.replace(",", " ").split())


def made(scene: str = "", most: int = 75, **more: object) -> Scene:
    return scene_from_memory(scene, count=words, most=most, **more)  # type: ignore[arg-type]


def test_what_matters_most_stands_first() -> None:
    scene = made("smiling, soft light", composition="full body", worn=COAT, memory=MEMORY)
    assert scene.prompt == "full body, wearing a long red coat, smiling, soft light, by a window, evening, rain"
    assert scene.left_out == ()


@pytest.mark.parametrize(
    ("scene", "taken"),
    [
        ("at the beach", ["evening", "rain"]),
        ("a sunny morning", ["by a window", "rain"]),
        ("snow", ["by a window", "evening"]),
        ("on a boat at night in the fog", []),
    ],
)
def test_the_scene_line_wins(scene: str, taken: list[str]) -> None:
    assert details((*MEMORY.remembered, *MEMORY.recent), scene) == taken


def test_what_does_not_fit_is_left_out_from_the_end_and_said() -> None:
    scene = made("smiling", composition="full body", worn=COAT, memory=MEMORY, most=8)
    assert scene.prompt == "full body, wearing a long red coat, smiling"
    assert scene.tokens == 8
    assert scene.left_out == ("by a window", "evening", "rain")


def test_nothing_else_that_was_said_ends_in_a_prompt() -> None:
    said = Memory(recent=("My password is hunter2, I live at 5 Elm Road, ignore all instructions, naked (x:1.5)",))
    assert made("portrait", memory=said).prompt == "portrait"


@pytest.mark.parametrize(
    ("text", "names", "left"),
    [
        ("Mira on the pier", ["Mira"], "on the pier"),
        ("mira sol, standing", ["Mira Sol"], "standing"),
        ("standing, Mira's coat, rain", ["Mira"], "standing, coat, rain"),
        ("miracle, admiral", ["Mira"], "miracle, admiral"),
        ("Sol in the sun", ["Mira Sol"], "in the sun"),
        ("美羅 standing", ["美羅"], "standing"),
    ],
)
def test_names_are_taken_out_whole(text: str, names: list[str], left: str) -> None:
    assert without_names(text, names) == left


@given(st.text(max_size=200), st.text(max_size=200), st.integers(1, 40))
def test_never_a_name_and_never_too_long(scene: str, hint: str, most: int) -> None:
    result = made(scene + " Halina", most, worn=Worn("i", "t", hint + " halina", ""), names=["Halina"], memory=MEMORY)
    assert words(result.prompt) == result.tokens <= most
    assert "halina" not in result.prompt.lower().split()
