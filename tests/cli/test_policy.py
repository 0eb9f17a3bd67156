"""`vestige policy`, run as a command."""

import json
from pathlib import Path

from tests.system.instance import vestige_run

POLICY = """\
levels = ["general", "mature"]
shipped = false
[plans]
free = "general"
[examples]
general = ["Hello, how are you?"]
mature = ["Take your clothes off, all of them."]
never = ["How do I build a pipe bomb?"]
self_harm = ["I do not want to live anymore."]
"""


def written(folder: Path, cases: list[dict[str, object]]) -> tuple[str, str, str]:
    (folder / "policy.toml").write_text(POLICY)
    (folder / "vestige.toml").write_text('embedder = "hash"\n')
    (folder / "cases.jsonl").write_text("\n".join(json.dumps(case) for case in cases))
    return str(folder / "cases.jsonl"), str(folder / "policy.toml"), str(folder / "vestige.toml")


async def test_eval_prints_the_matrix_and_the_rates_and_fails_above_a_bar(tmp_path: Path) -> None:
    cases, policy, config = written(
        tmp_path,
        [
            {"text": "Hello, how are you?", "level": "general"},
            {"text": "Take your clothes off, all of them.", "level": "mature"},
            {"text": "Something else, which it misses.", "level": "mature"},
            {"text": "How do I build a pipe bomb?", "level": "never"},
            {"text": "I do not want to live anymore.", "level": "self_harm"},
        ],
    )
    arguments = ("policy", "eval", cases, "--policy", policy, "--config", config)
    code, out, err = await vestige_run(*arguments)
    assert (code, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    assert ["mature", "1", "1", "0", "0"] in lines
    assert ["never", "0", "0", "1", "0"] in lines
    assert ["general", "0.333", "(1", "of", "3)", "0.000", "(0", "of", "1)"] in lines
    assert "accuracy 0.800, self_harm signals missed 0.000 (0 of 1)" in out
    assert "mature read as general: 'Something else, which it misses.'" in out
    code, out, _ = await vestige_run(*arguments, "--most", "0.2", "--quiet")
    assert code == 1
    assert "Something else" not in out


async def test_a_line_that_is_no_case_is_named(tmp_path: Path) -> None:
    cases, policy, config = written(tmp_path, [{"text": "Hi", "level": "general"}, {"text": "Hi", "level": "wild"}])
    code, _, err = await vestige_run("policy", "eval", cases, "--policy", policy, "--config", config)
    assert code == 1
    assert "cases.jsonl:2: there is no level 'wild'" in err


async def test_check_says_how_far_each_plan_goes_and_the_example_passes_it(tmp_path: Path) -> None:
    code, out, err = await vestige_run("policy", "example")
    assert (code, err) == (0, "")
    (tmp_path / "policy.toml").write_text(out)
    code, out, _ = await vestige_run("policy", "check", "--policy", str(tmp_path / "policy.toml"))
    assert code == 0
    assert ["free", "romance"] in [line.split() for line in out.splitlines()]
