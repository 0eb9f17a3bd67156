"""`vestige routing`, run as a command beside a provider that lists its models."""

from pathlib import Path

import pytest

from server.routing.policy.reading import example
from tests.fakes.openrouter import FakeOpenRouter
from tests.system.instance import vestige_run

POLICY = """\
default_mode = "m"
[providers.openrouter]
base_url = "{base}"
speaks = "openrouter"
[models.one]
id = "alpha/one"
[models.two]
id = "beta/two"
[modes.m]
[tiers.free]
m = ["one", "two"]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "routing.toml"


def write(file: Path, policy: str, base: str = "http://127.0.0.1:9/v1") -> None:
    file.write_text(policy.replace("{base}", base))


async def test_check_asks_the_provider_and_its_exit_code_says_what_it_found(file: Path) -> None:
    async with FakeOpenRouter() as fake:
        write(file, POLICY, fake.base_url)
        fake.offer("alpha/one", "beta/two")
        code, out, err = await vestige_run("routing", "check", str(file))
        assert (code, err) == (0, "")
        assert out == f"{file}: 0 errors, 0 warnings, held against 2 listed models\n"

        fake.offers.pop("beta/two")
        code, out, _ = await vestige_run("routing", "check", str(file))
        assert code == 1
        assert out.startswith(f"error: {file}:8: models.two.id: openrouter has no 'beta/two'")

        fake.unlisted = True
        code, out, _ = await vestige_run("routing", "check", str(file))
        assert code == 0
        assert f"warning: {file}:2: providers.openrouter: its models could not be looked at" in out
        code, _, _ = await vestige_run("routing", "check", str(file), "--strict")
        assert code == 1


async def test_a_typo_names_line_and_key(file: Path) -> None:
    write(file, POLICY.replace("speaks", "speeks"))
    code, out, err = await vestige_run("routing", "check", str(file))
    assert (code, err) == (1, "")
    assert f"error: {file}:4: providers.openrouter.speeks: unknown key; did you mean 'speaks'?" in out
    folder = str(file.with_name("data"))
    for arguments in (("routing", "table", str(file)), ("serve", "--data", folder, "--port", "0")):
        code, out, err = await vestige_run(*arguments, routing=file)
        assert code == 1
        assert err.startswith(f"vestige: {file}:4: providers.openrouter.speeks: unknown key")
        assert err.count("\n") == 1


async def test_the_table_and_the_example(file: Path) -> None:
    code, out, _ = await vestige_run("routing", "example")
    assert (code, out) == (0, example())
    write(file, POLICY)
    code, out, _ = await vestige_run("routing", "table", str(file))
    assert code == 0
    assert "alpha/one → beta/two" in out
    code, out, _ = await vestige_run("routing", "table", routing=file)
    assert "alpha/one → beta/two" in out
    code, out, _ = await vestige_run("routing", "table", "--markdown")
    assert "`openrouter/free`" in out
    code, out, err = await vestige_run("routing", "table", str(file.with_name("none.toml")))
    assert (code, out) == (1, "")
    assert "cannot be read" in err
