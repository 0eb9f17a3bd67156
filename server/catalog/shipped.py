"""The characters that a new tenant starts with."""

from importlib import resources

from server.catalog.cards import Card
from server.catalog.strict_json import parse_object


def sample_cards() -> list[tuple[str, Card]]:
    """`(id, card)` of every sample in the package."""
    folder = resources.files("server.catalog") / "samples"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".json")), key=lambda file: file.name)
    return [(file.name.removesuffix(".json"), Card.read(parse_object(file.read_bytes()))) for file in files]
