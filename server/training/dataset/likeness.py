"""Which pictures are nearly the same, and which show the same pose from the same angle."""

from collections.abc import Callable, Sequence

from server.training.dataset.measures import Measures

SAME_BITS = 6
"""Of 63: what JPEG, a change of size and a little light change at most."""
SAME_COLOURS = 14.0
"""Levels, of 255, by which the miniatures differ on average at most."""
SAME_ANGLE = 0.7
"""Product of two shapes: 0.75 to 0.85 for photographs shifted by a twentieth, below 0.45 for turned or other ones."""


def near_duplicates(measured: Sequence[Measures]) -> list[list[int]]:
    """Groups of indices of pictures that look the same."""
    return _groups(measured, _look_the_same)


def same_angles(measured: Sequence[Measures]) -> list[list[int]]:
    """Groups of indices of pictures that show the same outline at the same place.

    Edges are compared, not what they mean: no model of faces or bodies is here. It finds series of one pose; two poses
    with the same outline it cannot tell apart.
    """
    return _groups(measured, lambda a, b: float(a.shape @ b.shape) >= SAME_ANGLE)


def _look_the_same(a: Measures, b: Measures) -> bool:
    bits = int((a.print != b.print).sum())
    return bits <= SAME_BITS and float(abs(a.colours - b.colours).mean()) <= SAME_COLOURS


def _groups(measured: Sequence[Measures], alike: Callable[[Measures, Measures], bool]) -> list[list[int]]:
    """Each picture joins the first group whose first picture it is like, so that a group has one middle."""
    groups: list[list[int]] = []
    for index, one in enumerate(measured):
        home = next((group for group in groups if alike(measured[group[0]], one)), None)
        if home is None:
            groups.append([index])
        else:
            home.append(index)
    return [group for group in groups if len(group) > 1]
