"""What the LoRA registry costs: `python -m bench.lora [--versions 10000] [--gigabytes 2] [--json OUT]`.

`list_ms_…`: all versions of a tenant, from a real Valkey to the bytes of the answer; `list_decoded_ms_…`: as objects;
`live_ms`: which version one character wears. Medians of wall time; `list_cpu_ms_…`: of this process' CPU time, which a
busy machine does not change much.
`header_bytes_read`: what reading the header of a file of gigabytes takes from it, as Linux counts (`/proc/self/io`),
or where it does not, as `header_bytes_asked` is counted, at the file. The file's weights are a hole in it.
"""

import argparse
import asyncio
import io
import json
import struct
import tempfile
import time
from collections.abc import Awaitable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from redis.asyncio.connection import UnixDomainSocketConnection

from bench.report import add_json_argument, percentile, report
from server.loras.facts import read_facts
from server.loras.header import read_header
from server.loras.records import LoraFacts, LoraFile
from server.loras.registry import Registry
from server.stores.redis import make_client
from server.stores.valkey import EmbeddedValkey, valkey_binary

TENANT = "home"
PER_CHARACTER = 20
AT_ONCE = 64
BASE = "67ab2fd8ec439a89b3fedb15cc65f54336af163c7eb5e4f2acc98f090a29b0b3"
LAYERS = 722
"""Of an SDXL LoRA that trains everything."""
RANK = 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--versions", type=int, default=10_000)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--times", type=int, default=15)
    add_json_argument(parser)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vestige-bench-") as name:
        folder = Path(name)
        metrics = asyncio.run(listing(folder, given.versions, given.times))
        metrics |= header(write_sparse(folder / "lora.safetensors", int(given.gigabytes * 2**30)))
    report("LoRA registry", metrics, {"versions": given.versions, "gigabytes": given.gigabytes}, given.json)


async def listing(folder: Path, versions: int, times: int) -> dict[str, float | int]:
    """Times in milliseconds."""
    for sub in ("redis", "run"):
        (folder / sub).mkdir()
    valkey = EmbeddedValkey(folder / "redis", folder / "run", folder / "run" / "valkey.sock", valkey_binary())
    await valkey.launch()
    try:
        redis = make_client({"path": str(valkey.socket), "connection_class": UnixDomainSocketConnection})
        registry = Registry(redis)
        await filled(registry, versions)
        listed, decoded, computed = [], [], []
        for _ in range(times):
            before = time.process_time()
            listed.append(await timed(registry.list_json(TENANT)))
            computed.append((time.process_time() - before) * 1e3)
            decoded.append(await timed(registry.list(TENANT)))
        if len(await registry.list(TENANT)) != versions:
            raise SystemExit(f"Not all of the {versions} versions were listed.")
        live = [await timed(registry.live(TENANT, f"character-{at % PER_CHARACTER}")) for at in range(200)]
        await redis.aclose(close_connection_pool=True)
    finally:
        await valkey.stop()
    return {
        f"list_ms_{versions}": percentile(listed, 0.5),
        f"list_p95_ms_{versions}": percentile(listed, 0.95),
        f"list_cpu_ms_{versions}": percentile(computed, 0.5),
        f"list_decoded_ms_{versions}": percentile(decoded, 0.5),
        "live_ms": percentile(live, 0.5),
    }


async def filled(registry: Registry, versions: int) -> None:
    """Adds that many versions, of characters with twenty each."""
    free = asyncio.Semaphore(AT_ONCE)

    async def add(at: int) -> None:
        async with free:
            await registry.add(
                TENANT, f"character-{at // PER_CHARACTER}", lora_file(at), by="owner", training="x" * 4_000
            )

    await asyncio.gather(*(add(at) for at in range(versions)))


def lora_file(at: int) -> LoraFile:
    sha256 = f"{at:064x}"
    facts = LoraFacts(
        trainer="sd-scripts",
        dim=32,
        alpha=16.0,
        steps=1_000 + at,
        tags=tuple((f"tag {each}", 100 - each) for each in range(50)),
        trained=datetime(2026, 11, 1, tzinfo=UTC),
        base_family="pony",
        base_name="ponyDiffusionV6XL_v6StartWithThisOne.safetensors",
        base_sha256=BASE,
        evidence="the hash of its base",
        tensors=3 * LAYERS,
        dtype="BF16",
    )
    return LoraFile(
        sha256=sha256, weights_sha256=sha256, auto_v2=sha256[:10], auto_v3=sha256[:12], bytes=228_456_016, facts=facts
    )


async def timed(work: Awaitable[object]) -> float:
    """Milliseconds."""
    start = time.perf_counter()
    await work
    return (time.perf_counter() - start) * 1e3


def write_sparse(path: Path, size: int) -> Path:
    """An SDXL LoRA of about `size` bytes in sd-scripts' names, with its usual metadata."""
    columns = max(1, size // (LAYERS * RANK * 2 * 2))
    header: dict[str, Any] = {
        "__metadata__": {f"ss_{at}": "x" * 200 for at in range(90)} | {"ss_network_dim": str(RANK)}
    }
    at = 0
    for layer in range(LAYERS):
        name = f"lora_unet_input_blocks_{layer}_1_transformer_blocks_0_attn2_to_k"
        shapes = {"lora_down.weight": [RANK, columns], "lora_up.weight": [columns, RANK], "alpha": []}
        for part, shape in shapes.items():
            end = at + 2 * (RANK * columns if shape else 1)
            header[f"{name}.{part}"] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, end]}
            at = end
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + at)
    return path


def header(path: Path) -> dict[str, float | int]:
    """Reads header and facts as the registry does when a file comes in."""
    size = path.stat().st_size
    with path.open("rb", buffering=0) as raw:
        counting = Counting(raw)
        before, start = kernel_count(), time.perf_counter()
        found = read_header(counting, size)
        facts = read_facts(found, counting.at)
        taken = (time.perf_counter() - start) * 1e3
        after = kernel_count()
    if facts.dim != RANK or facts.tensors != 3 * LAYERS:
        raise SystemExit("The header was not read as it was written.")
    read = counting.count if before is None or after is None else after - before
    return {
        "header_bytes_read": read,
        "header_bytes_asked": counting.count,
        "header_ms": taken,
        "header_file_bytes": size,
    }


class Counting(io.BufferedReader):
    """Counts what is asked of a file."""

    def __init__(self, raw: io.FileIO) -> None:
        super().__init__(raw, buffer_size=io.DEFAULT_BUFFER_SIZE)
        self.count = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.count += len(data)
        return data

    def at(self, place: int, length: int) -> bytes:
        self.seek(place)
        return self.read(length)


def kernel_count() -> int | None:
    """Bytes that this process has read from files so far, by Linux' own count."""
    try:
        text = Path("/proc/self/io").read_text("ascii")
    except OSError:
        return None
    return int(text.split("rchar:")[1].split()[0])


if __name__ == "__main__":
    main()
