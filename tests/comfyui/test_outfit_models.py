"""Load Outfit Models, Load Character LoRA and Encode Reference, by graph, on a real ComfyUI."""

from collections.abc import Iterator

import pytest
from safetensors.torch import load_file, save_file

from tests.comfyui.client import Comfy, GraphFailed, GraphRefused, Run
from tests.comfyui.conftest import PACK_TOKEN
from tests.comfyui.graphs import Graph, Node
from tests.comfyui.host import ComfyUI


async def models(comfy: Comfy, checkpoint: str | None, **choice: str) -> tuple[Run, Node, Node]:
    graph = Graph()
    inputs = {} if checkpoint is None else {"model": graph.checkpoint(checkpoint)[0]}
    pair = graph.add("Vestige_LoadOutfitModels", **{"adapter": "auto", "encoder": "auto", **choice}, **inputs)
    loaded, fitting = graph.add("Tiny_Report", value=pair[0]), graph.add("Tiny_Report", value=pair[1])
    return await comfy.run(graph), loaded, fitting


@pytest.mark.parametrize(
    ("checkpoint", "choice", "uses"),
    [
        ("tiny-sdxl", {}, "hat.safetensors with lens-a.safetensors"),
        ("tiny-sd15", {}, "glove.safetensors with lens-a.safetensors"),
        ("tiny-sdxl", {"adapter": "boot.safetensors"}, "boot.safetensors with lens-b.safetensors"),
        (None, {"adapter": "scarf.safetensors"}, "scarf.safetensors with lens-a.safetensors"),
    ],
)
async def test_the_pair_that_fits_is_found_by_content(
    comfy: Comfy, checkpoint: str | None, choice: dict[str, str], uses: str
) -> None:
    run, loaded, fitting = await models(comfy, checkpoint, **choice)
    said = run.report(loaded)
    assert said["is"] == "OutfitModels"
    assert said["adapter"]["is"] == "Adapter"
    assert len(said["encoder_sha256"]) == 64
    text = run.report(fitting)
    assert text.splitlines()[0] == f"Uses {uses}."
    if checkpoint == "tiny-sdxl":
        assert "✗ glove.safetensors is made for Stable Diffusion 1.5, and the checkpoint is SDXL" in text


@pytest.mark.parametrize(
    ("checkpoint", "choice", "says"),
    [
        (
            "tiny-sdxl",
            {"adapter": "glove.safetensors"},
            "glove.safetensors is made for Stable Diffusion 1.5, and the checkpoint is SDXL: use boot.safetensors, ",
        ),
        (
            "tiny-sdxl",
            {"adapter": "hat.safetensors", "encoder": "lens-b.safetensors"},
            "hat.safetensors works with CLIP with 64 hidden channels, and this encoder is CLIP with 96 hidden and 80 "
            "pooled channels: use lens-a.safetensors.",
        ),
        (None, {}, "Which IP-Adapter fits depends on the checkpoint: connect the model, or choose "),
    ],
)
async def test_what_does_not_fit_is_refused_with_what_would(
    comfy: Comfy, checkpoint: str | None, choice: dict[str, str], says: str
) -> None:
    with pytest.raises(GraphFailed) as failed:
        await models(comfy, checkpoint, **choice)
    assert failed.value.class_type == "Vestige_LoadOutfitModels"
    assert failed.value.message.startswith(says)


async def test_a_file_that_is_not_there_is_refused_before_it_is_queued(comfy: Comfy) -> None:
    with pytest.raises(GraphRefused, match=r"There is no gone\.safetensors in the ipadapter folder: choose another"):
        await models(comfy, "tiny-sdxl", adapter="gone.safetensors")


def with_lora(graph: Graph, checkpoint: Node, **inputs: object) -> Node:
    defaults = {"version": "live", "strength_model": 1.0, "strength_clip": 1.0, "other_lineage": False}
    wired = {"model": checkpoint[0], "clip": checkpoint[1], "character": "mira", **defaults, **inputs}
    return graph.add("Vestige_LoadCharacterLora", **wired)


@pytest.mark.parametrize(("version", "number"), [("live", 2), ("1", 1), ("v2", 2)])
async def test_a_version_of_a_character_goes_on_the_model(comfy: Comfy, version: str, number: int) -> None:
    graph = Graph()
    lora = with_lora(graph, graph.checkpoint(), version=version)
    model, loaded = graph.add("Tiny_Report", value=lora[0]), graph.add("Tiny_Report", value=lora[2])
    run = await comfy.run(graph)
    assert run.report(model)["weights_patched"] == {"1": 700}
    assert run.report(loaded).startswith(f"mira v{number} (mira_v{number}.safetensors), trained on ")


async def test_it_is_what_comfyuis_own_loader_makes_of_the_file(comfy: Comfy) -> None:
    graph = Graph()
    checkpoint = graph.checkpoint()
    ours = with_lora(graph, checkpoint, version="1", strength_model=0.7, strength_clip=0.6)
    theirs = graph.add(
        "LoraLoader", model=checkpoint[0], clip=checkpoint[1], lora_name="mira_v1.safetensors",
        strength_model=0.7, strength_clip=0.6,
    )  # fmt: skip
    shown = [graph.picture(lora[0], lora[1], checkpoint[2]) for lora in (ours, theirs)]
    run = await comfy.run(graph)
    one, other = [(await comfy.pictures(run, node))[0].tobytes() for node in shown]
    assert one == other


async def test_without_clip_and_at_strength_nothing(comfy: Comfy) -> None:
    graph = Graph()
    checkpoint = graph.checkpoint()
    lora = with_lora(graph, checkpoint, strength_model=0.0)
    graph.nodes[lora.id]["inputs"].pop("clip")
    model, loaded = graph.add("Tiny_Report", value=lora[0]), graph.add("Tiny_Report", value=lora[2])
    run = await comfy.run(graph)
    assert run.report(model)["weights_patched"] == {}
    assert run.report(loaded).endswith("at strength 0 it changes nothing")


async def test_a_lora_of_another_architecture_is_refused_before_its_weights_are_read(comfy: Comfy) -> None:
    graph = Graph()
    graph.add("Tiny_Report", value=with_lora(graph, graph.checkpoint("tiny-sdxl"), character="otis")[0])
    with pytest.raises(GraphFailed) as failed:
        await comfy.run(graph)
    assert failed.value.message == (
        "otis_v1.safetensors was trained for Stable Diffusion 1.5, and the checkpoint is SDXL: use a version trained "
        "for this checkpoint, or allow another lineage on this node."
    )


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ({"character": "nobody"}, "There is no LoRA of 'nobody'"),
        ({"version": "9"}, "There is no v9 of mira: choose live or one of v1, v2"),
        ({"version": "newest"}, "The version is 'newest': write live, or a number such as 3"),
    ],
)
async def test_who_is_not_there_is_refused_before_it_is_queued(comfy: Comfy, inputs: dict[str, str], says: str) -> None:
    graph = Graph()
    graph.add("Tiny_Report", value=with_lora(graph, graph.checkpoint(), **inputs)[0])
    with pytest.raises(GraphRefused, match=says):
        await comfy.run(graph)


def features_of(graph: Graph, *references: Node, encoder: str = "lens-a.safetensors") -> Node:
    """The features of references in order, each with half the weight of the one before."""
    adapter = "hat.safetensors" if encoder == "lens-a.safetensors" else "boot.safetensors"
    pair = graph.add("Vestige_LoadOutfitModels", adapter=adapter, encoder=encoder)
    features: Node | None = None
    for at, reference in enumerate(references):
        before = {} if features is None else {"before": features}
        features = graph.add("Vestige_EncodeReference", models=pair, reference=reference, weight=0.5**at, **before)
    assert features is not None
    return features


async def test_a_square_picture_is_seen_as_ipadapter_plus_sees_it(comfy: Comfy) -> None:
    if "IPAdapterEncoder" not in await comfy.get("/object_info"):
        pytest.skip("IPAdapter_plus is not on this machine (IPADAPTER_PLUS_DIR)")
    graph = Graph()
    reference = graph.add("Vestige_LoadReference", picture="dress.png")
    ours = graph.add("Tiny_Report", value=features_of(graph, reference))
    theirs = graph.add(
        "IPAdapterEncoder",
        ipadapter=graph.add("IPAdapterModelLoader", ipadapter_file="hat.safetensors"),
        image=reference[1],
        weight=1.0,
        clip_vision=graph.add("CLIPVisionLoader", clip_name="lens-a.safetensors"),
    )
    positive, negative = graph.add("Tiny_Report", value=theirs[0]), graph.add("Tiny_Report", value=theirs[1])
    run = await comfy.run(graph)
    said = run.report(ours)
    assert said["hidden"] == run.report(positive)  # every bit: the report holds the sha256 of the numbers
    assert said["blank_hidden_image"] == run.report(negative)
    assert said["blank_hidden_pixels"]["sha256"] != said["blank_hidden_image"]["sha256"]


async def test_several_references_keep_their_order_and_weights(comfy: Comfy) -> None:
    graph = Graph()
    dress, shoe = (graph.add("Vestige_LoadReference", picture=name) for name in ("dress.png", "shoe.jpg"))
    both = graph.add("Tiny_Report", value=features_of(graph, dress, shoe))
    said = (await comfy.run(graph)).report(both)
    assert said["hidden"]["shape"] == [2, 257, 64]
    assert said["pooled"]["shape"] == [2, 48]
    assert said["weights"] == [1.0, 0.5]


async def test_references_of_two_encoders_are_refused(comfy: Comfy) -> None:
    graph = Graph()
    dress = graph.add("Vestige_LoadReference", picture="dress.png")
    first = features_of(graph, dress)
    second = features_of(graph, dress, encoder="lens-b.safetensors")
    graph.set(second, before=first[0])
    graph.add("Tiny_Report", value=second)
    with pytest.raises(GraphFailed, match="encoded by different image encoders: use one pair of outfit models"):
        await comfy.run(graph)


async def test_what_was_seen_is_kept_where_nobody_reads_it(comfy: Comfy, comfyui: ComfyUI) -> None:
    graph = Graph()
    report = graph.add("Tiny_Report", value=features_of(graph, graph.add("Vestige_LoadReference", picture="shoe.jpg")))
    first = (await comfy.run(graph)).report(report)
    kept = list((comfyui.base / "user" / "__vestige" / "features").glob("*.safetensors"))
    assert kept
    for path in kept:
        path.write_bytes(path.read_bytes()[:-1])  # memory still has it; the next process would notice
    graph.set(graph.find("Vestige_EncodeReference"), weight=0.9)
    assert (await comfy.run(graph)).report(report)["hidden"] == first["hidden"]
    async with comfy.http.get("/userdata", params={"dir": "../__vestige/features"}) as response:
        assert response.status in (400, 403, 404)


async def test_a_version_trained_anew_is_picked_up_at_the_next_run(comfy: Comfy, comfyui: ComfyUI) -> None:
    loras = comfyui.base / "models" / "loras"
    (loras / "nora").mkdir(exist_ok=True)
    first, second = ((loras / f"mira_v{number}.safetensors").read_bytes() for number in (1, 2))
    (loras / "nora" / "v1.safetensors").write_bytes(first)

    graph = Graph()
    checkpoint = graph.checkpoint()
    lora = with_lora(graph, checkpoint, character="nora")
    shown, loaded = graph.picture(lora[0], lora[1], checkpoint[2]), graph.add("Tiny_Report", value=lora[2])

    async def drawn() -> tuple[bytes, str, bool]:
        run = await comfy.run(graph)
        return (await comfy.pictures(run, shown))[0].tobytes(), run.report(loaded), lora.id in run.executed

    before, said, _ = await drawn()
    assert said.startswith("nora v1")
    assert not (await drawn())[2]  # nothing changed: nothing runs

    (loras / "nora" / "v1.safetensors").write_bytes(second)  # trained anew under its name
    anew, said, ran = await drawn()
    assert (ran, said.split(" (")[0], anew == before) == (True, "nora v1", False)

    (loras / "nora" / "v2.safetensors").write_bytes(first)  # a new version is live
    swapped, said, _ = await drawn()
    assert (said.split(" (")[0], swapped) == ("nora v2", before)

    (loras / "nora" / "live.json").write_text('{"nora": 1}')  # and back
    back, said, _ = await drawn()
    assert (said.split(" (")[0], back) == ("nora v1", anew)


async def test_apply_refuses_a_pair_for_another_checkpoint_and_names_what_fits(comfy: Comfy) -> None:
    """The loader had no model to compare with: nothing is patched all the same."""
    graph = Graph()
    checkpoint = graph.checkpoint("tiny-sdxl")
    pair = graph.add("Vestige_LoadOutfitModels", adapter="glove.safetensors", encoder="auto")
    reference = graph.add("Vestige_LoadReference", picture="dress.png")
    features = graph.add("Vestige_EncodeReference", models=pair, reference=reference, weight=1.0)
    required = (await comfy.node_info("Vestige_TuningValues"))["input"]["required"]
    tuning = graph.add("Vestige_TuningValues", **{name: entry[1]["default"] for name, entry in required.items()})
    dressed = graph.add("Vestige_ApplyOutfit", model=checkpoint, models=pair, features=features, tuning=tuning)
    graph.add("Tiny_Report", value=dressed)
    with pytest.raises(GraphFailed) as failed:
        await comfy.run(graph)
    assert failed.value.class_type == "Vestige_ApplyOutfit"
    assert failed.value.message == (
        "glove.safetensors is made for Stable Diffusion 1.5, and the checkpoint is SDXL: use boot.safetensors, "
        "coat.safetensors, hat.safetensors."
    )


@pytest.fixture
def damaged(comfyui: ComfyUI) -> Iterator[None]:
    """Adapters that nobody can use, among the others for the time of a test."""
    folder = comfyui.base / "models" / "ipadapter"
    whole = (folder / "coat.safetensors").read_bytes()
    contents = {
        "torn.safetensors": whole[: len(whole) // 2],
        "nan.safetensors": whole[:-2] + b"\x00\x7e",  # a half-precision NaN
        "page.safetensors": b"<!DOCTYPE html><title>404</title>",
        "old.bin": b"PK\x03\x04",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    yield
    for name in contents:
        (folder / name).unlink()


@pytest.mark.usefixtures("damaged")
@pytest.mark.parametrize(
    ("adapter", "says"),
    [
        ("torn.safetensors", "torn.safetensors is cut off: its download did not finish, get it again."),
        ("nan.safetensors", "nan.safetensors holds numbers that are not finite (ip_adapter."),
        ("page.safetensors", "page.safetensors is a web page, not a model: the download went wrong"),
    ],
)
async def test_a_damaged_adapter_is_refused(comfy: Comfy, adapter: str, says: str) -> None:
    with pytest.raises(GraphFailed) as failed:
        await models(comfy, "tiny-sdxl", adapter=adapter)
    assert failed.value.message.startswith(says)


@pytest.mark.usefixtures("damaged")
async def test_a_pickled_adapter_is_refused_before_it_is_queued(comfy: Comfy) -> None:
    with pytest.raises(GraphRefused, match=r"old\.bin is a pickled PyTorch file, which can run code when it is opened"):
        await models(comfy, "tiny-sdxl", adapter="old.bin")


async def test_a_lora_of_another_lineage_is_refused_unless_it_is_allowed(comfy: Comfy, comfyui: ComfyUI) -> None:
    """Same shapes on both sides: the LoRA's header and the checkpoint's name tell, through a patch in between."""
    folder = comfyui.base / "models"
    weights = load_file(folder / "loras" / "mira_v1.safetensors")
    trained_on = {"ss_base_model_version": "sdxl_base_v1-0", "ss_sd_model_name": "ponyDiffusionV6XL.safetensors"}
    save_file(weights, folder / "loras" / "pia_v1.safetensors", metadata=trained_on)
    checkpoint = folder / "checkpoints" / "tiny-illustrious.safetensors"
    checkpoint.symlink_to(folder / "checkpoints" / "tiny-sdxl.safetensors")

    graph = Graph()
    loaded = graph.checkpoint("tiny-illustrious")
    freed = graph.add("FreeU_V2", model=loaded, b1=1.3, b2=1.4, s1=0.9, s2=0.2)
    lora = with_lora(graph, loaded, character="pia", model=freed[0])
    report = graph.add("Tiny_Report", value=lora[0])
    with pytest.raises(GraphFailed) as failed:
        await comfy.run(graph)
    assert failed.value.message == (
        "pia_v1.safetensors was trained on Pony Diffusion (SDXL) (the name of its base, ponyDiffusionV6XL.safetensors "
        "says so), and the checkpoint is Illustrious (SDXL) (its file name says so): use a version trained for this "
        "checkpoint, or allow another lineage on this node."
    )
    graph.set(lora, other_lineage=True)
    assert (await comfy.run(graph)).report(report)["weights_patched"] == {"1": 700}


async def test_characters_over_http_and_back_to_an_older_version(comfy: Comfy, comfyui: ComfyUI) -> None:
    token = {"Authorization": f"Bearer {PACK_TOKEN}"}
    async with comfy.http.get("/vestige/loras") as response:
        assert response.status == 401
    async with comfy.http.get("/vestige/loras", headers=token) as response:
        found = {character["name"]: character for character in (await response.json())["characters"]}
    assert (found["mira"]["live"], found["otis"]["live"]) == (2, 1)
    assert [version["file"] for version in found["mira"]["versions"]] == ["mira_v2.safetensors", "mira_v1.safetensors"]
    assert found["otis"]["versions"][0]["base_family"] == "sd15"

    graph = Graph()
    loaded = graph.add("Tiny_Report", value=with_lora(graph, graph.checkpoint())[2])
    try:
        async with comfy.http.put("/vestige/loras/mira/live", headers=token, json={"version": 1}) as response:
            assert (response.status, (await response.json())["live"]) == (200, 1)
        assert (await comfy.run(graph)).report(loaded).startswith("mira v1 ")
    finally:
        (comfyui.base / "models" / "loras" / "live.json").unlink(missing_ok=True)
    assert (await comfy.run(graph)).report(loaded).startswith("mira v2 ")
