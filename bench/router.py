"""What our router costs a request, beside the same model asked directly and LiteLLM's proxy.

    python -m bench.router [--json OUT] [--litellm [VENV]] [--quick]

All of them run at the same time, each in processes of its own, before one model that replies at once
(`bench.upstream`); they are measured in turns, several rounds, and the best round of each counts, since a busy machine
only ever makes figures worse. Ours is a whole server on its embedded Valkey: `POST /v1/complete` with an API key,
through rate limits, the routing chain with its breaker, and the ledger.

* `rps_50`: requests per second of 50 clients, ledger on and content gate off. `rps_50_whole`: the gate on too, with the
  policy that ships; no message is sent twice, so each is embedded anew.
* `rps_50_direct`: the model itself. `rps_50_litellm`: LiteLLM's proxy, with its one key and no database.
* `stream_rps_50` and so on: the same, streamed.
* `p50_ms_50`, `p99_ms_50`, and the same of the others: how long a request of those took.
* `added_p50_ms`: what ours (gate off) adds for one client, and `added_p50_ms_whole` with the gate.
* `times_litellm`, `stream_times_litellm`: `rps_50` divided by LiteLLM's.
"""

import argparse
import os
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import platformdirs
import uvloop

from bench.closed_loop import Measured, Target, measure
from bench.gateways import direct, litellm, litellm_version, ours
from bench.report import add_json_argument, report
from bench.turn import upstream

CLIENTS = 50

Names = tuple[str, bool]
"""Which gateway, and whether streamed."""
Rows = dict[Names, list[Measured]]
"""What each came to, round by round."""


def targets(stack: ExitStack, folder: Path, venv: Path | None) -> dict[Names, Target]:
    """Everything that is measured, running until `stack` is left."""
    base_url = stack.enter_context(upstream())
    started = {"direct": direct(base_url)}
    for name, gated in (("ours", False), ("whole", True)):
        started[name] = stack.enter_context(ours(folder / name, base_url, users=CLIENTS, gated=gated))
    if venv is not None:
        started["litellm"] = stack.enter_context(litellm(folder, base_url, venv))
    found: dict[Names, Target] = {}
    for name, (plain, streamed) in started.items():
        found |= {(name, False): plain, (name, True): streamed}
    return found


async def rounds(
    found: Mapping[Names, Target], clients: int, seconds: float, count: int
) -> dict[Names, list[Measured]]:
    """Each of `found` measured once in every round."""
    rows: Rows = {names: [] for names in found}
    for number in range(count):
        print(f"{clients} client(s), round {number + 1} of {count} …", flush=True)
        for names, target in found.items():
            rows[names].append(await measure(target, clients, seconds))
    return rows


def metrics(crowd: Rows, alone: Rows) -> dict[str, float]:
    """The best round of each, under the names above."""
    found: dict[str, float] = {}
    for (name, stream), row in crowd.items():
        before, after = "stream_" if stream else "", "" if name == "ours" else f"_{name}"
        best = max(row, key=lambda each: each.rate)
        found[f"{before}rps_50{after}"] = best.rate
        found[f"{before}p50_ms_50{after}"], found[f"{before}p99_ms_50{after}"] = best.p50, best.p99
    fastest = {name: min(each.p50 for each in row) for (name, stream), row in alone.items() if not stream}
    found["direct_p50_ms"] = fastest["direct"]
    for name, after in (("ours", ""), ("whole", "_whole"), ("litellm", "_litellm")):
        if name in fastest:
            found[f"added_p50_ms{after}"] = fastest[name] - fastest["direct"]
    for before in ("", "stream_"):
        if slower := found.get(f"{before}rps_50_litellm"):
            found[f"{before}times_litellm"] = found[f"{before}rps_50"] / slower
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_json_argument(parser)
    parser.add_argument("--quick", action="store_true", help="one short round of few clients, to see that it runs")
    parser.add_argument("--rounds", type=int, default=5, help="rounds, of which the best counts")
    parser.add_argument("--seconds", type=float, default=3.0, help="of one measurement")
    home = platformdirs.user_cache_path("vestige") / "bench-litellm"
    parser.add_argument(
        "--litellm", type=Path, nargs="?", const=home, metavar="VENV", help="LiteLLM too, installed there if need be"
    )
    args = parser.parse_args()
    count, seconds, clients = (1, 0.3, 4) if args.quick else (args.rounds, args.seconds, CLIENTS)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="vestige-bench-") as folder, ExitStack() as stack:
        found = targets(stack, Path(folder), args.litellm)
        plain = {names: target for names, target in found.items() if not names[1]}

        async def both() -> tuple[Rows, Rows]:
            return await rounds(plain, 1, seconds, count), await rounds(found, clients, seconds, count)

        alone, crowd = uvloop.run(both())
    config = {"clients": clients, "rounds": count, "seconds": seconds, "load_before": load, "quick": args.quick}
    config["litellm"] = litellm_version(args.litellm) if args.litellm else None
    report("A router between client and model (requests/s, milliseconds)", metrics(crowd, alone), config, args.json)


if __name__ == "__main__":
    main()
