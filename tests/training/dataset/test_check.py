"""`vestige lora check-dataset`: pictures and captions, one by one and together."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from PIL import Image, ImageFilter

from server.training.dataset.check import check_dataset
from server.training.dataset.copying import mended_copy
from server.training.dataset.page import html_page
from server.training.dataset.report import Report, as_json
from server.training.dataset.words import KINDS, guide
from server.training.findings import TrainingError
from tests.training.pictures import BUCKETS, figure, good_dataset

GUIDE = Path(__file__).parents[3] / "kohya_presets" / "DATASET.md"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return good_dataset(tmp_path_factory.mktemp("good") / "pictures")


@pytest.fixture
def dataset(tmp_path: Path, good: Path) -> Path:
    return Path(shutil.copytree(good, tmp_path / "pictures"))


def check(folder: Path, *, batch_size: int = 1, names: Sequence[str] = ()) -> Report:
    return check_dataset(folder, buckets=BUCKETS, batch_size=batch_size, names=names)


def kinds(report: Report) -> list[str]:
    return [one.kind for one in report.all]


def inner(dataset: Path, name: str) -> Path:
    return dataset / "10_halina" / name


def test_nothing_is_said_of_a_good_dataset(good: Path) -> None:
    report = check(good)
    assert kinds(report) == []
    assert report.buckets() == {(416, 608): 160}
    assert report.framings == {"body": 12, "face": 4}


def turned(dataset: Path) -> None:
    image = figure(0, "front")
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(inner(dataset, "000.jpg"), exif=exif)
    inner(dataset, "000.png").unlink()
    sources = (dataset / "sources.csv").read_text(encoding="utf-8").replace("000.png", "000.jpg")
    (dataset / "sources.csv").write_text(sources, encoding="utf-8")


def see_through(dataset: Path) -> None:
    image = figure(0, "front").convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 100, 100))
    image.save(inner(dataset, "000.png"))


def picture(dataset: Path, image: Image.Image) -> None:
    image.save(inner(dataset, "000.png"))


def caption(dataset: Path, data: bytes) -> None:
    inner(dataset, "000.txt").write_bytes(data)


def everywhere(dataset: Path, text: str) -> None:
    for path in dataset.glob("10_halina/*.txt"):
        path.write_text(f"{path.read_text(encoding='utf-8').strip()}, {text}\n", encoding="utf-8")


FAULTS: dict[str, Callable[[Path], object]] = {
    "few": lambda d: [inner(d, f"{n:03}.{end}").unlink() for n in range(4) for end in ("png", "txt")],
    "no_repeats": lambda d: shutil.copytree(d / "10_halina", d / "halina"),
    "loose_pictures": lambda d: figure(99, "front").save(d / "loose.png"),
    "empty_folder": lambda d: (d / "5_more").mkdir(),
    "inner_folder": lambda d: inner(d, "more").mkdir(),
    "other_kind": lambda d: inner(d, "016.heic").write_bytes(b"x"),
    "damaged": lambda d: inner(d, "000.png").write_bytes(inner(d, "000.png").read_bytes()[:900]),
    "animated": lambda d: figure(0, "front").save(
        inner(d, "000.png"), save_all=True, append_images=[figure(50, "side")]
    ),
    "tiny": lambda d: picture(d, figure(0, "front", (150, 219))),
    "small": lambda d: picture(d, figure(0, "front", (320, 468))),
    "blurred": lambda d: picture(d, figure(0, "front").filter(ImageFilter.GaussianBlur(6))),
    "transparent": see_through,
    "rotated": turned,
    "cut": lambda d: picture(d, figure(0, "front", (250, 1500))),
    "same": lambda d: picture(d, figure(5, "side").resize((500, 731))),
    "no_caption": lambda d: inner(d, "000.txt").unlink(),
    "empty_caption": lambda d: caption(d, b"\n"),
    "not_utf8": lambda d: caption(d, "full body, gr\u00fcn".encode("latin-1")),
    "more_lines": lambda d: caption(d, b"full body, standing\nred dress\n"),
    "named": lambda d: caption(d, b"full body, Halina in a garden"),
    "long_caption": lambda d: caption(d, b"full body, " + b"a green garden with many flowers, " * 12),
    "identity": lambda d: everywhere(d, "green eyes"),
    "no_source": lambda d: (d / "sources.csv").unlink(),
    "unknown_source": lambda d: (d / "sources.csv").write_text(
        (d / "sources.csv").read_text(encoding="utf-8") + "10_halina/gone.png,somewhere,CC0,\n", encoding="utf-8"
    ),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_is_named_and_nothing_else(dataset: Path, kind: str) -> None:
    FAULTS[kind](dataset)
    found = set(kinds(check(dataset)))
    assert kind in found
    assert found <= {kind, "unknown_source"}  # the row of a picture that is gone


def test_every_kind_of_finding_is_provoked() -> None:
    together = {"many", "no_folders", "same_angle", "no_faces", "no_bodies", "lone_bucket"}
    assert set(KINDS) == set(FAULTS) | together


def test_a_series_of_one_pose(tmp_path: Path) -> None:
    dataset = good_dataset(tmp_path / "pictures", 8)
    for number in range(8, 20):
        image = figure(0, "sitting")
        image.paste(figure(number, "face").resize((90, 125)), (0, 0))
        image.save(inner(dataset, f"{number:03}.png"))
        inner(dataset, f"{number:03}.txt").write_text(f"sitting, place {number}", encoding="utf-8")
    found = kinds(check(dataset))
    assert "same_angle" in found


@pytest.mark.parametrize(("framing", "kind"), [("full body, standing", "no_faces"), ("close-up", "no_bodies")])
def test_only_one_framing(dataset: Path, framing: str, kind: str) -> None:
    for index, path in enumerate(sorted(dataset.glob("10_halina/*.txt"))):
        path.write_text(f"{framing}, place {index}, colour {index}", encoding="utf-8")
    assert kind in kinds(check(dataset))


def test_a_bucket_that_does_not_fill_a_batch(dataset: Path) -> None:
    figure(0, "front", (512, 512)).save(inner(dataset, "000.png"))
    assert "lone_bucket" in kinds(check(dataset, batch_size=16))


def test_too_many_and_none_at_all(dataset: Path, tmp_path: Path) -> None:
    for number in range(16, 32):
        shutil.copy(inner(dataset, f"{number - 16:03}.png"), inner(dataset, f"{number:03}.png"))
    assert "many" in kinds(check(dataset))
    (tmp_path / "empty").mkdir()
    assert kinds(check(tmp_path / "empty")) == ["no_folders"]
    with pytest.raises(TrainingError, match="cannot be read"):
        check(tmp_path / "nowhere")


def test_a_name_that_is_not_the_folders(dataset: Path) -> None:
    caption(dataset, b"full body, Ms. Wr\xc3\xb3bel in a garden")
    assert "named" not in kinds(check(dataset))
    assert "named" in kinds(check(dataset, names=["Wróbel"]))


def test_the_report_depends_on_the_dataset_alone(dataset: Path, good: Path) -> None:
    first, again = as_json(check(good)), as_json(check(dataset))
    assert first == again
    assert str(good) not in first
    assert len(json.loads(first)["pictures"]) == 16


def test_the_page_shows_pictures_and_runs_nothing(dataset: Path) -> None:
    caption(dataset, b"<script>alert(1)</script>, full body")
    inner(dataset, "001.png").write_bytes(b"no picture")
    page = html_page(check(dataset))
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert page.count("data:image/webp;base64,") >= 15
    assert "cannot be shown" in page


def test_a_copy_is_mended_and_the_original_is_untouched(dataset: Path, tmp_path: Path) -> None:
    turned(dataset)
    caption(dataset, b"full body, standing\nred dress\n")
    inner(dataset, "001.txt").rename(inner(dataset, "001.caption"))
    before = {path: path.read_bytes() for path in dataset.rglob("*") if path.is_file()}
    said = mended_copy(check(dataset), tmp_path / "mended")
    assert len(said) == 3
    assert {path: path.read_bytes() for path in dataset.rglob("*") if path.is_file()} == before
    mended = tmp_path / "mended" / "10_halina"
    with Image.open(mended / "000.png") as upright, Image.open(inner(dataset, "000.jpg")) as stored:
        assert upright.size == stored.size[::-1]
        assert not upright.getexif()
    assert (mended / "000.txt").read_text(encoding="utf-8") == "full body, standing red dress\n"
    assert (mended / "001.txt").is_file()
    assert not {"rotated", "more_lines", "no_caption"} & set(kinds(check(tmp_path / "mended")))


def test_a_copy_goes_nowhere_that_exists_or_is_read(dataset: Path) -> None:
    report = check(dataset)
    with pytest.raises(TrainingError, match="exists"):
        mended_copy(report, dataset)
    with pytest.raises(TrainingError, match="within the dataset"):
        mended_copy(report, dataset / "copy")


def test_two_pictures_that_would_have_one_name(dataset: Path, tmp_path: Path) -> None:
    kept = inner(dataset, "000.png").read_bytes()
    turned(dataset)
    inner(dataset, "000.png").write_bytes(kept)
    with pytest.raises(TrainingError, match="rename one"):
        mended_copy(check(dataset), tmp_path / "mended")
    assert not (tmp_path / "mended").exists()
    assert not list(tmp_path.glob(".mended*"))


def test_the_guide_has_the_words_of_the_check() -> None:
    assert GUIDE.read_text(encoding="utf-8") == guide()
