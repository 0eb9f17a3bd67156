"""The trainer's aspect buckets: which size each picture is trained at, and how much of it is cut off.

As sd-scripts' `BucketManager` does it, at the commit of `keys.json`. Sizes are (width, height) in pixels.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Buckets:
    """How pictures are sorted. `enabled` False: all are cropped to `resolution`; `upscale` False: small ones stay."""

    resolution: Size = (1024, 1024)
    smallest: int = 256
    largest: int = 2048
    step: int = 64
    upscale: bool = True
    enabled: bool = True

    def sizes(self) -> list[Size]:
        """The buckets there are, where pictures may be enlarged."""
        smallest = self.smallest - self.smallest % self.step
        largest = -(-self.largest // self.step) * self.step
        area = self.resolution[0] * self.resolution[1]
        square = int(math.sqrt(area) // self.step) * self.step
        found = {(square, square)}
        for width in range(smallest, largest + 1, self.step):
            height = min(largest, area // width // self.step * self.step)
            if height >= smallest:
                found |= {(width, height), (height, width)}
        return sorted(found)

    def of(self, size: Size) -> "Placed":
        """The bucket of a picture of this size."""
        if not self.enabled:
            return Placed(size, self.resolution)
        if self.upscale:
            ratio = size[0] / size[1]
            sizes = self.sizes()
            return Placed(size, size if size in sizes else min(sizes, key=lambda one: abs(one[0] / one[1] - ratio)))
        width, height = self._shrunk(size)
        return Placed(size, (width - width % self.step, height - height % self.step))

    def _shrunk(self, size: Size) -> Size:
        """The picture within the area of `resolution`, with one side a multiple of the step."""
        area, ratio = self.resolution[0] * self.resolution[1], size[0] / size[1]
        if size[0] * size[1] <= area:
            return size
        by_width = self._rounded(math.sqrt(area * ratio))
        by_height = self._rounded(area / math.sqrt(area * ratio))
        wide = by_width / max(1, self._rounded(by_width / ratio))
        high = self._rounded(by_height * ratio) / by_height
        if abs(wide - ratio) < abs(high - ratio):
            return by_width, int(by_width / ratio + 0.5)
        return int(by_height * ratio + 0.5), by_height

    def _rounded(self, side: float) -> int:
        whole = int(side + 0.5)
        return whole - whole % self.step


@dataclass(frozen=True, slots=True)
class Placed:
    """A picture of `size` in the bucket `bucket`."""

    size: Size
    bucket: Size

    @property
    def scale(self) -> float:
        """By how much it is enlarged (above 1) or made smaller so that it covers its bucket."""
        return max(self.bucket[0] / self.size[0], self.bucket[1] / self.size[1])

    @property
    def cut(self) -> float:
        """The share of the picture that is cut off, 0 to 1."""
        kept = self.bucket[0] * self.bucket[1] / (self.size[0] * self.size[1] * self.scale**2)
        return max(0.0, 1.0 - kept)


def batches(placed: Sequence[tuple[Placed, int]], batch_size: int) -> int:
    """How many batches an epoch has: a batch holds pictures of one bucket. `placed` with each picture's repeats."""
    counts: dict[Size, int] = {}
    for one, repeats in placed:
        counts[one.bucket] = counts.get(one.bucket, 0) + repeats
    return sum(-(-count // batch_size) for count in counts.values())
