async def test_answers_in_text(redis_pair):
    await redis_pair.state.set("name", "Mira ❀")
    assert await redis_pair.state.get("name") == "Mira ❀"
    assert redis_pair.cache is redis_pair.state


async def test_begins_empty(redis_pair):
    assert await redis_pair.state.keys() == []
