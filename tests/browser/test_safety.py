"""Hostile text stays text, and nobody sees what belongs to another."""

import pytest
from playwright.async_api import expect

from tests.browser.visitor import Arrive, Visitor
from tests.fakes.openai_server import FakeOpenAI

ATTACK = (
    "<img src=x onerror=\"window.hacked='img'\"><script>window.hacked='script'</script>"
    "<svg onload=\"window.hacked='svg'\"></svg> [link](javascript:window.hacked='link') "
    "![pic](https://example.org/track.png) <style>body{display:none}</style>"
)
HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "<p onclick='alert(1)' style='position:fixed'>text</p>",
    "<a href='javascript:alert(1)'>link</a><a href='  java\nscript:alert(1)'>link</a><a href='data:text/html,x'>x</a>",
    "<script>alert(1)</script><style>*{}</style><template><b>x</b></template>",
    "<svg><script>alert(1)</script><a href='https://example.org'>x</a></svg>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)></style></mglyph></table></mtext></math>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe><object data=x></object><embed src=x>",
    "<form action='https://example.org'><input name=q><button>go</button></form>",
    "<div id='app'><p id='toasts' name='body' class='button'>text</p></div>",
    "<!-- comment --><p>text</p><base href='https://example.org'><meta http-equiv=refresh content='0;x'>",
]


async def untouched(visitor: Visitor) -> None:
    """Nothing of an attack ran, and none of its elements exist."""
    assert await visitor.page.evaluate("window.hacked") is None
    content = visitor.page.locator("#app")
    for tag in ("script", "style", "iframe", "svg[onload]", "img[onerror]", "img[src^=http]", "a[href^=javascript]"):
        assert await content.locator(tag).count() == 0, tag
    assert await content.locator("[style*=display]").count() == 0
    assert await visitor.page.locator("body").is_visible()


async def test_markup_in_messages_is_shown_and_not_obeyed(nora: Visitor, model: FakeOpenAI) -> None:
    model.next(ATTACK)
    await nora.talk(ATTACK)
    await expect(nora.mine.last).to_contain_text("<img src=x onerror=")
    await expect(nora.replies.last).to_contain_text("<script>window.hacked='script'</script>")
    await untouched(nora)
    await nora.page.reload()
    await expect(nora.replies.last).to_contain_text("<script>window.hacked='script'</script>")
    await untouched(nora)


async def test_markup_in_a_character_is_shown_and_not_obeyed(visit: Arrive) -> None:
    nora = await visit("Nora <b onclick=x>")
    fields = {"name": f"Mira {ATTACK}"[:200], "description": ATTACK, "tags": [ATTACK[:90]], "creator_notes": ATTACK}
    character = await nora.api.character(**fields, first_mes=ATTACK, alternate_greetings=[ATTACK])
    await nora.open(character)
    await expect(nora.page.get_by_role("heading", level=1)).to_contain_text("<img src=x onerror=")
    await expect(nora.page.get_by_role("list", name="Characters")).to_contain_text("<img src=x onerror=")
    await untouched(nora)
    await nora.talk("Hello")
    await nora.page.goto(f"{nora.api.url}/#/c/{character}/edit")
    await expect(nora.page.get_by_label("Description")).to_have_value(ATTACK)
    await untouched(nora)


async def test_markup_in_pins_summaries_and_recalled_lines_is_shown_and_not_obeyed(nora: Visitor) -> None:
    character = nora.character
    await nora.lived_through(character, [f"{ATTACK} {number}" for number in range(5)])
    await nora.api.ask("POST", f"/v1/memory/{character}/pins", json={"text": ATTACK})
    await nora.api.ask("PUT", f"/v1/memory/{character}/summary", json={"text": ATTACK})
    await nora.page.reload()
    for tab in ("Summary", "Pins", "Timeline"):
        await nora.tab(tab)
        await expect(nora.drawer.get_by_role("tabpanel")).to_contain_text("<img src=x onerror=")
        await untouched(nora)
    await nora.tab("Search")
    await nora.drawer.get_by_role("searchbox").fill("hacked")
    await nora.page.keyboard.press("Enter")
    await expect(nora.drawer.get_by_role("article").filter(has_text="<img src=x onerror=").first).to_be_visible()
    await untouched(nora)


async def test_what_slipped_through_the_server_stops_in_the_page(nora: Visitor) -> None:
    # what the policy has to say of it while it is parsed
    nora.expected = ["Executing inline event handler", "Applying inline style", "CSP: script-src", "CSP: style-src"]
    left = await nora.page.evaluate(
        """async (all) => {
            const base = document.querySelector('script[type=module]').src;
            const { messageNodes } = await import(new URL('html.js', base));
            return all.map((html) => {
                const host = document.createElement('div');
                host.append(messageNodes(html));
                document.body.append(host);
                const nodes = [...host.querySelectorAll('*')];
                const found = nodes.map((one) => [one.localName, ...one.getAttributeNames()].join(' '));
                host.remove();
                return { found, comments: host.innerHTML.includes('<!--') };
            });
        }""",
        HOSTILE,
    )
    for html, result in zip(HOSTILE, left, strict=True):
        assert set(result["found"]) <= {"p dir", "a", "b", "table"}, html
        assert not result["comments"], html


async def test_no_markup_gets_in_anywhere_else(nora: Visitor) -> None:
    """Trusted Types: the browser itself refuses a string where markup would be parsed."""
    nora.expected = ["TrustedHTML", "require-trusted-types-for"]
    for attempt in ("document.body.innerHTML = html", "new DOMParser().parseFromString(html, 'text/html')"):
        with pytest.raises(Exception, match="TrustedHTML"):
            await nora.page.evaluate(f"(html) => {{ {attempt}; }}", "<b>x</b>")


async def test_another_person_sees_nothing_of_it(nora: Visitor, visit: Arrive) -> None:
    character = nora.character
    await nora.talk("My secret is a lighthouse.")
    bob = await visit("Bob")
    await expect(bob.page.get_by_role("list", name="Characters")).not_to_contain_text("Mira")
    await bob.page.goto(f"{bob.api.url}/#/c/{character}")
    await expect(bob.page.get_by_role("alert")).to_contain_text("This did not open")
    assert "lighthouse" not in await bob.page.content()
    assert all(one.startswith("404 ") for one in bob.refusals)


async def test_a_shared_character_has_a_conversation_of_its_own_with_each(visit: Arrive) -> None:
    anna, bob = await visit("Anna", "admin"), await visit("Bob")
    _, made = await anna.api.ask("POST", "/v1/characters", json={"name": "Open House"})
    await anna.page.goto(f"{anna.api.url}/#/c/{made['id']}/edit")
    await anna.page.get_by_label("Everyone on this server can talk to this character").check()
    await anna.page.get_by_role("button", name="Save", exact=True).click()
    await anna.is_with(made["id"])
    await anna.talk("Only Anna knows of the lighthouse.")
    await bob.page.reload()
    await bob.page.get_by_role("link", name="Open House").click()
    await bob.is_with(made["id"])
    assert "lighthouse" not in await bob.page.content()
    await bob.talk("What do you know?")
    assert "lighthouse" not in await bob.page.content()
    await bob.menu(bob.page.get_by_role("button", name="Conversation", exact=True), "See the character")
    await expect(bob.page.get_by_label("Name", exact=True)).not_to_be_editable()
