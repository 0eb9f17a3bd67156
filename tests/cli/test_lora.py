"""`vestige lora`, against a server that runs."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.fakes.openai_server import FakeOpenAI
from tests.loras import lora_files as made
from tests.system.instance import Instance, start, vestige_run

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Instance]:
    async with FakeOpenAI() as fake, start(tmp_path_factory.mktemp("cli") / "data", fake.base_url) as running:
        yield running


async def run(data: Path, *arguments: str, code: int = 0) -> str:
    """What `vestige lora …` printed; where it fails its last line."""
    ended, out, err = await vestige_run("lora", *arguments, "--data", str(data))
    assert ended == code, err
    return " ".join((out or err).split())


async def test_from_a_file_to_the_live_version_and_back(server: Instance, tmp_path: Path) -> None:
    first, second, report, training = (tmp_path / name for name in ("a.safetensors", "b.safetensors", "r", "t.toml"))
    first.write_bytes(made.lora(made.KOHYA, made.KOHYA_SAYS))
    second.write_bytes(made.lora(made.PEFT, made.PEFT_SAYS))
    report.write_bytes(b"{}")
    training.write_text("network_dim = 32\n")
    data = server.data

    added = await run(
        data, "add", "halina", str(first), "--notes", "spring",
        "--training", str(training), "--dataset-report", str(report),
    )  # fmt: skip
    assert added.startswith("halina v1: lora of dim 32, alpha 16, trained on pony; it is live.")
    assert "Note: Its weights are not those that its trainer hashed" in added
    assert "already: nothing was added" in await run(data, "add", "halina", str(first))
    assert "`vestige lora promote halina v2` makes it live" in await run(data, "add", "halina", str(second))

    listed = await run(data, "list")
    assert "halina v2 sdxl 16 24" in listed
    assert "halina v1 live pony 32 16 740" in listed
    shown = await run(data, "show", "halina")
    sha256 = hashlib.sha256(first.read_bytes()).hexdigest()
    for text in ("v1 (live)", sha256, "1girl 23, smile 4", "spring", hashlib.sha256(b"{}").hexdigest(), "by owner"):
        assert text in shown
    assert "trained by diffusers" in await run(data, "show", "halina", "v2")

    assert await run(data, "promote", "halina", "v2") == "halina: v2 is live, v1 was."
    assert await run(data, "promote", "halina", "2") == "halina v2 is live already."
    assert "v2 of halina is live meanwhile" in await run(data, "promote", "halina", "1", "--if-live", "v1", code=1)
    assert await run(data, "rollback", "halina") == "halina: v1 is live, v2 was."
    assert "No other version of halina was live before v1" in await run(data, "rollback", "halina", code=1)

    assert "halina v1 pony yes" in await run(data, "retrain-list", "--base", "pony")
    assert "Nothing that is live" in await run(data, "retrain-list", "--base", "pony", "--new", made.PONY)
    assert "stays on the hosts" in await run(data, "pin", "halina")
    assert "while it is used" in await run(data, "unpin", "halina")

    assert await run(data, "verify") == "halina v2: store sound halina v1: store sound"
    (data / "objects" / "loras" / f"{sha256}.safetensors").write_bytes(b"x")
    assert await run(data, "verify", "halina", "v1", code=1) == "halina v1: store damaged"
    assert "There is no v7 of halina" in await run(data, "verify", "halina", "v7", code=1)
    assert "There is no LoRA of haline" in await run(data, "verify", "haline", code=1)


async def test_what_cannot_be_added(server: Instance, tmp_path: Path) -> None:
    pickled = tmp_path / "halina.safetensors"
    pickled.write_bytes(b"\x80\x02}q\x00.")
    assert "can run code when it is opened" in await run(server.data, "add", "halina", str(pickled), code=1)
    assert "The name must be 1 to 64" in await run(server.data, "add", "../halina", str(pickled), code=1)
    assert "'latest' is no version" in await run(server.data, "promote", "halina", "latest", code=1)


async def test_without_a_server(tmp_path: Path) -> None:
    assert "start it with `vestige serve`" in await run(tmp_path / "data", "list", code=1)
