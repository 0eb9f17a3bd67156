"""The routing file: what it may say, and that a mistake has its line and key."""

import subprocess
import sys
from pathlib import Path

import pytest

from server.errors import SettingsError
from server.routing.policy.reading import example, load_policy, read_policy
from server.toml_lines import Lines

GOOD = """\
default_mode = "everyday"

[providers.mine]
base_url = "http://127.0.0.1:11434/v1"

[models.one]
id = "alpha/one"
max_price = { prompt = 1, completion = 2 }

[models.two]
id = "two"
provider = "mine"

[models.last]
id = "smollm2-135m-instruct"
provider = "bundled"

[modes.everyday]
level = "general"

[modes.scene]
first_token_seconds = 20

[tiers.free]
everyday = ["one", "two"]
scene = { chain = ["one", "last"], max_tokens = 900 }

[tiers.plus]
like = "free"
everyday = ["two", "one", "last"]
"""


def test_a_good_one_has_no_problems() -> None:
    policy, problems = read_policy(GOOD, ["free", "plus"])
    assert problems == []
    assert policy is not None
    assert policy.chain("plus", "scene").chain == ("one", "last")
    assert policy.chain("plus", "everyday").chain == ("two", "one", "last")
    assert policy.provider("openrouter").key == "OPENROUTER_API_KEY"


def test_the_example_is_good_and_free() -> None:
    policy, problems = read_policy(example(), ["free"])
    assert problems == []
    assert policy is not None
    assert all(
        model.provider == "bundled" or (model.max_price and model.max_price.price.free)
        for model in policy.models.values()
    )
    assert policy.modes["instant"].first_token_seconds <= 3
    assert policy.modes["scene"].first_token_seconds >= 10


# old text, new text, the line's text in the new file, key, words of the message
MISTAKES = [
    ('level = "general"', 'levl = "general"', "levl", "modes.everyday.levl", "unknown key; did you mean 'level'"),
    ("[providers.mine]", "[provider.mine]", "[provider.mine]", "provider", "did you mean 'providers'"),
    ("base_url =", "base =", "base =", "providers.mine.base", "did you mean 'base_url'"),
    ('base_url = "http', 'base_url = "ftp', "base_url", "providers.mine.base_url", "not an address"),
    ("max_tokens = 900", "max_token = 900", "scene = {", "tiers.free.scene.max_token", "did you mean 'max_tokens'"),
    ("completion = 2", "completion = -2", "max_price", "models.one.max_price.completion", "greater than or equal"),
    ("completion = 2", "completion = 1e9", "max_price", "models.one.max_price.completion", "less than or equal"),
    ("prompt = 1, ", "", "max_price", "models.one.max_price.prompt", "it is missing"),
    ('id = "alpha/one"', 'id = "alpha one"', "alpha one", "models.one.id", "characters that cannot be in it"),
    ('id = "alpha/one"', "id = 5", "id = 5", "models.one.id", "valid string"),
    ('provider = "mine"', 'provider = "mien"', "mien", "models.two.provider", "did you mean 'mine'"),
    ('default_mode = "everyday"', 'default_mode = "always"', "always", "default_mode", "no mode 'always'"),
    ('default_mode = "everyday"\n', "", "", "default_mode", "it is missing"),
    ('["one", "two"]', '["one", "tow"]', '["one", "tow"]', "tiers.free.everyday", "no model 'tow'; did you mean 'two'"),
    ('["one", "two"]', '["one", "two", "one"]', '"two", "one"]', "tiers.free.everyday.chain", "loops: 'one'"),
    ('["one", "two"]', "[]", "everyday = []", "tiers.free.everyday.chain", "at least 1 item"),
    ('everyday = ["one", "two"]', 'evryday = ["one", "two"]', "evryday", "tiers.free.evryday", "'everyday'"),
    ("seconds = 20", "seconds = 0", "first_token", "modes.scene.first_token_seconds", "greater than"),
    ("seconds = 20", "seconds = 500", "[modes.scene]", "modes.scene", "larger than total"),
    ("max_tokens = 900", "first_token_seconds = 200", "scene = {", "tiers.free.scene", "larger than total"),
    ('like = "free"', 'like = "fre"', "fre", "tiers.plus.like", "no tier 'fre'; did you mean 'free'"),
    ('like = "free"', 'like = "plus"', 'like = "plus"', "tiers.plus.like", "it loops: plus → plus"),
    ('like = "free"\n', "", "[tiers.plus]", "tiers.plus", "no chain for the mode 'scene'"),
    ("[models.one]", "[models.One]", "[models.One]", "models.One", "characters that cannot be in it"),
    ("[modes.scene]", "[modes.scene", "[modes.scene", "the file", "no valid TOML"),
    ("[tiers.plus]", "[tiers.gold]", "[tiers.free]", "tiers", "no tier 'plus', which is a plan"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "at", "key", "words"), MISTAKES, ids=[f"{row[3]}-{row[4][:12]}" for row in MISTAKES]
)
def test_a_mistake_has_its_line_and_key(old: str, new: str, at: str, key: str, words: str, tmp_path: Path) -> None:
    text = GOOD.replace(old, new, 1)
    assert text != GOOD
    policy, problems = read_policy(text, ["free", "plus"])
    assert policy is None
    found = [problem for problem in problems if problem.fatal and problem.key == key]
    assert found, problems
    assert words in found[0].message
    assert at in text.splitlines()[found[0].line - 1]
    file = tmp_path / "routing.toml"
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_policy(file, ["free", "plus"])
    assert caught.value.message.startswith(f"{file}:")
    assert "\n" not in caught.value.message


def test_a_ring_of_tiers_is_a_loop() -> None:
    text = GOOD.replace("[tiers.free]\n", '[tiers.free]\nlike = "plus"\n').replace("scene = {", "# scene = {")
    _, problems = read_policy(text)
    assert any("it loops: free → plus → free" in problem.message for problem in problems)


def test_one_model_under_two_names_is_a_loop_too() -> None:
    text = GOOD.replace('id = "two"\nprovider = "mine"', 'id = "alpha/one"')
    _, problems = read_policy(text)
    assert any("the same model of 'openrouter'" in problem.message for problem in problems)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('id = "two"\nprovider = "mine"', 'id = "alpha/two"', "'one' and 'two' are of one provider (alpha)"),
        ('everyday = ["one", "two"]', 'everyday = ["one"]', "nothing to fall back to"),
        ("[modes.everyday]", '[models.spare]\nid = "x/y"\n[modes.everyday]', "no chain names this model"),
        ("[tiers.plus]", '[tiers.gold]\nlike = "free"\n[tiers.plus]', "no plan of the settings has this name"),
    ],
)
def test_what_works_and_may_disappoint_is_a_warning(old: str, new: str, words: str) -> None:
    policy, problems = read_policy(GOOD.replace(old, new, 1), ["free", "plus"])
    assert policy is not None
    assert any(words in problem.message and not problem.fatal for problem in problems)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    for content in (None, b"\xff\xfe", b"#" * ((1 << 20) + 1)):
        file = tmp_path / "routing.toml"
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(SettingsError) as caught:
            load_policy(file)
        assert str(file) in caught.value.message


def test_lines_of_every_kind_of_key() -> None:
    lines = Lines(
        'a = 1\n"b c".d = 2 # [x]\n[t]\nlist = [\n  "k = v",\n  "w",\n]\n[t.u]\ntext = """\nfake = 1\n[fake]\n"""\n'
        "inline = {p = 1, q.r = 2}\n[[many]]\nz = 1\n"
    )
    for path, line in [
        (("a",), 1),
        (("b c", "d"), 2),
        (("t", "list", 1), 4),
        (("t", "u", "text"), 9),
        (("t", "u", "inline", "q", "r"), 13),
        (("many", 0, "z"), 14),
        (("fake",), 1),
        ((), 1),
    ]:
        assert lines.of(path) == line, path


def test_reading_a_policy_needs_nothing_that_runs() -> None:
    code = "import server.routing.policy.reading, sys; print('aiohttp' in sys.modules or 'redis' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
