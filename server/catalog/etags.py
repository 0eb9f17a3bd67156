"""Changes that must not undo one another: `If-Match` against the etag of what is stored."""


def matches(if_match: str | None, etag: str) -> bool:
    """Whether an `If-Match`, as it came or bare, allows a change of what has this etag."""
    return if_match is None or if_match.strip() == "*" or if_match.strip().removeprefix("W/").strip('"') == etag
