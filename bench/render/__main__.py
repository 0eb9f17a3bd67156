"""From an ask to a picture: how busy hosts are kept, what a hit costs, and what a hundred thousand renders leave.

    python -m bench.render [--json OUT] [--jobs N] [--seconds S] [--quick]

A whole server on its embedded Valkey, `vestige worker`, and fake ComfyUI hosts that take a fixed time for a render
(`bench.render.hosts`), each in processes of their own. Everything goes over HTTP; what is rendered is counted at the
hosts.

* `utilisation_1`, `utilisation_16`: with so many hosts, the share of the time that they rendered while work waited:
  from the first render's start to the last one's.
* `swaps_over_random`: how often hosts had to load another checkpoint while a grid of characters × items was worked off,
  asked for in no order, divided by the same for a dispatcher that gives what is next to any host with room.
* `renders_for_10000_asks`: renders begun for one picture that 10,000 requests asked for before it was done.
* `hit_p50_ms`: `POST /v1/previews` for a picture that is there, by one client; `hits_per_s`: by eight.
* `jobs_per_s`: a picture after the other on hosts that take no time. `worker_rss_ratio`, `server_rss_ratio`: memory at
  the end of `--jobs` of them over that after the first tenth. `valkey_bytes_per_picture`: what stays of each there.
* `lost`: jobs that did not end with a picture.
"""

import argparse
import os
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count, cycle, islice
from pathlib import Path

import uvloop

from bench.closed_loop import measure, send_all
from bench.render.hosts import Pace, Run
from bench.render.house import House, Pair, house, resident
from bench.report import add_json_argument, report
from tests.system.instance import children

HOSTS = 16
GRID_HOSTS = 4
ASKERS = 50
HIT_CLIENTS = 8
AHEAD = 128
"""Pictures that wait at once while memory is measured."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """`render`, `swap`: seconds. `each`: renders per host. `asks`: for one picture. `hits`: seconds of measuring."""

    render: float
    swap: float
    each: int
    characters: int
    items: int
    asks: int
    hits: float
    jobs: int


QUICK = Sizes(render=1.0, swap=1.0, each=4, characters=6, items=6, asks=500, hits=1.0, jobs=200)


class Bench:
    """One house, measured in one way after the other. No picture is asked for in two of them."""

    def __init__(self, home: House, sizes: Sizes) -> None:
        self._home = home
        self._sizes = sizes
        self.pairs = home.pairs(sizes.characters, sizes.items)
        self._variants = {pair: count() for pair in self.pairs}

    def utilisation(self, hosts: int) -> float:
        """Of so many hosts, with enough work for each."""
        home, work = self._home, cycle(self.pairs[: self._sizes.items])  # of one character, warm everywhere
        home.hosts.pace(Pace(self._sizes.render))
        home.use(hosts)
        runs = self._worked_off([self._new(next(work)) for _ in range(hosts * self._sizes.each)])
        return busy(runs, hosts)

    def swaps(self, *, at_random: bool) -> int:
        """On a few hosts, with the whole grid in line."""
        self._home.hosts.pace(Pace(self._sizes.render / 4, self._sizes.swap))
        self._home.use(GRID_HOSTS)
        asks = [self._new(pair) for pair in self.pairs]
        random.Random(7).shuffle(asks)
        return sum(run.swapped for run in self._worked_off(asks, at_random=at_random))

    def renders_for_one(self) -> int:
        """Begun for one picture that everybody asks for."""
        home, (pair, variant) = self._home, self._new(self.pairs[0])
        home.hosts.pace(Pace())
        before = home.hosts.ended
        home.hosts.hold()
        with home.worker():
            uvloop.run(send_all(home.target([pair.ask(variant)] * self._sizes.asks, 202), ASKERS))
            home.hosts.open()
            home.hosts.until(before + 1)
            self._until_ready(pair, variant)
            return home.hosts.ended - before

    def hits(self) -> dict[str, float]:
        """Of a picture that is there."""
        pair, variant = self._new(self.pairs[0])
        self._worked_off([(pair, variant)])
        target = self._home.target([pair.ask(variant)] * HIT_CLIENTS, 200)
        alone = uvloop.run(measure(target, 1, self._sizes.hits, warm=50))
        crowd = uvloop.run(measure(target, HIT_CLIENTS, self._sizes.hits, warm=50))
        return {"hit_p50_ms": alone.p50, "hit_p99_ms": alone.p99, "hits_per_s": crowd.rate}

    def memory(self) -> dict[str, float]:
        """Of everybody who has to do with a job, while many are done."""
        home, sizes = self._home, self._sizes
        home.hosts.pace(Pace())
        home.use(HOSTS)
        (valkey,) = (pid for pid, name in children(home.running.pid).items() if name.startswith("valkey"))
        with home.worker() as worker:
            before, tenth, began = home.hosts.ended, max(1, sizes.jobs // 10), 0.0
            seen: list[dict[str, int]] = []
            for done in range(tenth, 10 * tenth + 1, tenth):
                self._flow(before + done - tenth, tenth)
                began = began or time.monotonic()
                seen.append({name: resident(pid) for name, pid in _pids(home, worker, valkey)})
                held = ", ".join(f"{name} {size / 1e6:.0f} MB" for name, size in seen[-1].items())
                print(f"  {done:,}: {held}", flush=True)
            took = time.monotonic() - began
        started, ended = seen[0], seen[-1]
        kept = (ended["valkey"] - started["valkey"]) / (9 * tenth)
        ratios = {f"{name}_rss_ratio": ended[name] / started[name] for name in ("worker", "server")}
        return {"jobs_per_s": 9 * tenth / took, **ratios, "valkey_bytes_per_picture": kept}

    def lost(self) -> int:
        """Jobs without a picture at the end."""
        return sum(self._home.counts().values())

    def _worked_off(self, asks: Sequence[tuple[Pair, int]], *, at_random: bool = False) -> list[Run]:
        """Asks for everything, then starts a worker; what it did."""
        home, before = self._home, self._home.hosts.ended
        home.hosts.told()
        for pair, variant in asks:
            home.ask(pair, variant)
        with home.worker(at_random=at_random):
            home.hosts.until(before + len(asks))
            self._until_ready(*asks[-1])
        return home.hosts.told()

    def _flow(self, before: int, jobs: int) -> None:
        """So many pictures, of which not too many wait at once."""
        for asked, pair in enumerate(islice(cycle(self.pairs), jobs)):
            self._home.ask(*self._new(pair))
            if asked % 16 == 0 and asked >= AHEAD:
                self._home.hosts.until(before + asked - AHEAD)
        self._home.hosts.until(before + jobs)

    def _until_ready(self, pair: Pair, variant: int) -> None:
        """Returns once the server has that picture: the host ends a little earlier."""
        while self._home.ask(pair, variant) != "ready":
            time.sleep(0.05)

    def _new(self, pair: Pair) -> tuple[Pair, int]:
        """A picture of the pair that nobody asked for yet; there are a thousand of each."""
        return pair, next(self._variants[pair])


def busy(runs: Sequence[Run], hosts: int) -> float:
    """The share of the time in which hosts rendered while there was something to begin."""
    began, last = min(run.began for run in runs), max(run.began for run in runs)
    return sum(max(0.0, min(run.ended, last) - run.began) for run in runs) / ((last - began) * hosts)


def _pids(home: House, worker: int, valkey: int) -> list[tuple[str, int]]:
    return [("server", home.running.pid), ("worker", worker), ("valkey", valkey)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_json_argument(parser)
    parser.add_argument("--quick", action="store_true", help="few and short, to see that it runs")
    parser.add_argument("--jobs", type=int, default=100_000, help="renders over which memory is measured")
    parser.add_argument("--seconds", type=float, default=2.0, help="of one render where hosts are to be kept busy")
    args = parser.parse_args()
    full = Sizes(args.seconds, args.seconds, 30, 12, 12, 10_000, 5.0, args.jobs)
    sizes = QUICK if args.quick else full
    load, metrics = os.getloadavg()[0], dict[str, float]()
    pace = Pace(sizes.render, sizes.swap)
    with (
        tempfile.TemporaryDirectory(prefix="vestige-bench-") as folder,
        house(Path(folder) / "data", hosts=HOSTS, checkpoints=sizes.characters, pace=pace) as home,
    ):
        bench = Bench(home, sizes)
        for hosts in (1, HOSTS):
            print(f"{hosts} host(s) kept busy …", flush=True)
            metrics[f"utilisation_{hosts}"] = bench.utilisation(hosts)
        print(f"{len(bench.pairs)} pictures on {GRID_HOSTS} hosts, then the same by chance …", flush=True)
        swaps, by_chance = bench.swaps(at_random=False), bench.swaps(at_random=True)
        metrics |= {"swaps": swaps, "swaps_at_random": by_chance, "swaps_over_random": swaps / by_chance}
        print(f"{sizes.asks:,} asks for one picture …", flush=True)
        metrics[f"renders_for_{sizes.asks}_asks"] = bench.renders_for_one()
        print("hits …", flush=True)
        metrics |= bench.hits()
        print(f"{sizes.jobs:,} renders …", flush=True)
        metrics |= bench.memory()
        metrics["lost"] = bench.lost()
    config = {"render_s": sizes.render, "swap_s": sizes.swap, "renders_per_host": sizes.each, "jobs": sizes.jobs}
    config |= {"grid": f"{sizes.characters}x{sizes.items}", "grid_hosts": GRID_HOSTS, "picture": "64x96"}
    config |= {"load_before": load, "quick": args.quick}
    report("From an ask to a picture", metrics, config, args.json)


if __name__ == "__main__":
    main()
