"""`vestige backup` and `vestige restore` as commands, with a server running and without."""

from pathlib import Path

from tests.fakes.openai_server import FakeOpenAI
from tests.system.instance import start, vestige_run


def half_written(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.suffix == ".part"]


async def test_a_backup_of_a_running_server_and_of_a_folder_at_rest(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    async with FakeOpenAI() as fake:
        async with start(tmp_path / "data", fake.base_url) as server:
            mira = await server.character(name="Mira")
            assert (await server.say(mira, "My cat is called Ophelia"))[0] == 200
            code, out, err = await vestige_run("backup", str(tmp_path / "one.tar"), "--data", data)
            assert code == 0, err
            assert "1 conversations" in out
            code, _, err = await vestige_run("backup", str(tmp_path / "one.tar"), "--data", data)
            assert code == 1
            assert "never lost to a newer one" in err
            await server.stop()
        code, out, err = await vestige_run("backup", str(tmp_path / "two.tar"), "--data", data)
        assert code == 0, err
        code, _, err = await vestige_run("restore", str(tmp_path / "two.tar"), "--data", data)
        assert code == 1
        assert "is not empty" in err
        target = tmp_path / "restored"
        code, _, err = await vestige_run("restore", str(tmp_path / "one.tar"), "--data", str(target))
        assert code == 0, err
        async with start(target, fake.base_url) as server:
            said = [message["alternatives"][0]["text"] for message in await server.messages(mira)]
            assert "My cat is called Ophelia" in said
    assert half_written(tmp_path) == []


async def test_no_such_file(tmp_path: Path) -> None:
    code, _, err = await vestige_run("restore", str(tmp_path / "gone.tar"), "--data", str(tmp_path / "data"))
    assert code == 1
    assert "does not exist" in err
    assert not (tmp_path / "data").exists()


async def test_a_folder_that_is_not_there_is_no_empty_backup(tmp_path: Path) -> None:
    code, _, err = await vestige_run("backup", str(tmp_path / "one.tar"), "--data", str(tmp_path / "dta"))
    assert code == 1
    assert f"There is no data folder {tmp_path / 'dta'}" in err
    assert not (tmp_path / "dta").exists()
