"""`vestige worker` with a dispatcher to compare with: whatever is next goes to any host that has room, by chance.

`python -m bench.render.worker` is run with a worker's environment.
"""

import random
from collections.abc import Sequence

import uvloop

from server.cli.logs import configure_logging
from server.render.fleet import fleet
from server.render.fleet.schedule import Pick, Place, Rules, Wanted
from server.render.worker.process import run
from server.settings import Settings

_DICE = random.Random(5)


def at_random(
    places: Sequence[Place], line: Sequence[Wanted], _passed: int = 0, _rules: Rules | None = None
) -> Pick | None:
    """In place of `server.render.fleet.schedule.choose`."""
    free = [place for place in places if place.free > 0]
    return Pick(0, _DICE.choice(free).name) if free and line else None


if __name__ == "__main__":
    fleet.choose = at_random
    settings = Settings()
    configure_logging(settings.log_level, as_json=settings.log_json)
    uvloop.run(run(settings))
