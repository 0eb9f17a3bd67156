import numpy as np

from server.stores.chroma import Record

KEY = "default/ada/mira"


def record(id: str, document: str = "", dim: int = 64, **metadata) -> Record:
    vector = np.zeros(dim, np.float32)
    vector[sum(id.encode()) % dim] = 1.0
    return Record(id, vector, document, {"scope": KEY} | metadata)


async def test_get_answers_in_the_order_asked_and_leaves_out_what_is_not_there(chroma):
    await chroma.add(KEY, [record("a", "one"), record("b", "two ❀", n=2, f=0.5, yes=True)])
    found = await chroma.get(KEY, ["b", "nope", "a", "b"])
    assert [(r.id, r.document) for r in found] == [("b", "two ❀"), ("a", "one"), ("b", "two ❀")]
    assert found[0].metadata == {"scope": KEY, "n": 2, "f": 0.5, "yes": True}
