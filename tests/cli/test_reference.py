"""The settings page says what the settings are."""

from pathlib import Path

from server.cli.reference import settings_reference

PAGE = Path(__file__).resolve().parents[2] / "docs" / "settings.md"


def test_the_page_is_what_the_settings_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == settings_reference(), (
        "run: vestige config --reference > docs/settings.md"
    )
