"""`vestige reindex`: embeds all memory again after the embedder, or the number of shards, changed."""

import asyncio

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from server.datafolder import DataFolder
from server.memory.embedding import make_embedder
from server.memory.service import Memory
from server.settings import Settings
from server.stores.chroma import open_chroma
from server.stores.redis import open_redis


def reindex(settings: Settings) -> None:
    """Runs to the end, or to Ctrl-C; the next call goes on from there.

    Raises:
        StartupError: a server has the data folder open, or a store does not open.
        StoreUnavailable: a store failed on the way.
    """
    console = Console(stderr=True)
    try:
        total = asyncio.run(_reindex(settings, console))
    except KeyboardInterrupt:
        console.print("Stopped. Run `vestige reindex` again to go on from here.")
        raise SystemExit(130) from None
    print(f"{total:,} windows are indexed with the {settings.embedder} embedder.")


async def _reindex(settings: Settings, console: Console) -> int:
    embedder = make_embedder(settings.embedder, threads=2)
    columns = TextColumn("embedding"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with DataFolder(settings.data).open() as folder, Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=None)
        async with (
            open_redis(settings, folder) as redis,
            open_chroma(settings, folder, dim=embedder.dim, embedder_id=embedder.id, reindexing=True) as chroma,
        ):
            memory = Memory(redis, chroma, embedder)
            try:
                return await memory.reindex(lambda done, total: bar.update(task, completed=done, total=total))
            finally:
                await memory.aclose()
                embedder.close()
