"""A person at a browser: signed in as themselves, with every complaint of the browser on record."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from playwright.async_api import BrowserContext, ConsoleMessage, Locator, Page, Response, expect

from server.memory.messages import Role
from tests.harness import Server

# The browser itself prints a line for every response of 400 and up, and for each request that got none.
_FROM_THE_NETWORK = re.compile(r"Failed to load resource|net::ERR_")
_NOTE_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) => {
  console.error(`CSP: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
});
"""


@dataclass
class Visitor:
    """`page` is theirs, `api` the same person through the HTTP interface.

    `complaints`: console errors and warnings, uncaught exceptions, violations of the content security policy.
    `refusals`: responses of 400 and up, as `404 GET /v1/…`.
    """

    page: Page
    api: Server
    name: str
    complaints: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)
    """Parts of complaints that a test provokes on purpose."""

    @property
    def title(self) -> Locator:
        return self.page.get_by_role("heading", level=1)

    @property
    def composer(self) -> Locator:
        return self.page.get_by_label("Message", exact=True)

    @property
    def replies(self) -> Locator:
        return self.page.locator("article.msg--theirs")

    @property
    def mine(self) -> Locator:
        return self.page.locator("article.msg--mine")

    @property
    def drawer(self) -> Locator:
        return self.page.get_by_role("complementary")

    @property
    def character(self) -> str:
        """The id of the character whose conversation is open."""
        return self.page.url.split("#/c/")[1].split("/")[0]

    async def open(self, character: str) -> None:
        """Goes to the conversation with a character, by its address."""
        await self.page.goto(f"{self.api.url}/#/c/{character}")
        await self.is_with(character)

    async def is_with(self, character: str) -> None:
        """Waits until the conversation on screen is the one with this character."""
        await expect(self.page.locator(f".chat[data-character='{character}']")).to_be_visible()

    async def lived_through(self, character: str, said: Sequence[str], *, days_ago: int = 40) -> None:
        """Puts a conversation into their past: their lines, each answered in a word."""
        scope = self.api.scope(character, self.api.made["user"])
        at = datetime.now(UTC) - timedelta(days=days_ago)
        for number, text in enumerate(said):
            for role, line in ((Role.USER, text), (Role.ASSISTANT, f"I see ({number}).")):
                at += timedelta(minutes=1)
                await self.api.memory.append(scope, role, line, at=at)
        await self.api.memory.upkeep(scope)

    async def say(self, text: str) -> None:
        await self.composer.fill(text)
        await self.composer.press("Enter")

    async def talk(self, text: str) -> None:
        """Says something and waits until the reply is whole."""
        await self.may_speak()
        count = await self.mine.count()
        await self.say(text)
        await expect(self.mine).to_have_count(count + 1)
        await self.may_speak()

    async def may_speak(self) -> None:
        """Waits until no reply is being written: until then what is typed stays where it is."""
        await expect(self.page.get_by_role("button", name="Send", exact=True)).to_be_visible()

    async def menu(self, button: Locator, item: str) -> None:
        await button.click()
        await self.page.get_by_role("menuitem", name=item, exact=True).click()

    async def tab(self, name: str) -> None:
        await self.drawer.get_by_role("tab", name=name).click()

    async def confirm(self, button: str) -> None:
        """Answers the dialog that asks, and sees it go."""
        dialog = self.page.get_by_role("dialog")
        await dialog.get_by_role("button", name=button, exact=True).click()
        await expect(dialog).to_be_hidden()

    def unexpected(self) -> list[str]:
        return [one for one in self.complaints if not any(part in one for part in self.expected)]

    def watch(self) -> None:
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))
        self.page.on("response", self._response)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not _FROM_THE_NETWORK.search(message.text):
            self.complaints.append(f"{message.type}: {message.text}")

    def _response(self, response: Response) -> None:
        if response.status >= 400:
            path = response.url.removeprefix(self.api.url)
            self.refusals.append(f"{response.status} {response.request.method} {path}")


Arrive = Callable[..., Awaitable[Visitor]]


async def arrive(
    server: Server,
    context: BrowserContext,
    name: str,
    role: str = "member",
    meets: Mapping[str, Any] | None = None,
) -> Visitor:
    """A new person of that name, signed in by the link that an admin would give them.

    `meets`: a character made for them alone, whose conversation they come to.
    """
    api = await server.as_user(name)
    user = api.made["user"]
    if role != "member":
        status, answer = await server.ask("PATCH", f"/v1/admin/users/{user}", json={"role": role})
        assert status == 200, answer
    status, answer = await server.ask("POST", f"/v1/admin/users/{user}/link")
    assert status == 200, answer
    visitor = Visitor(await context.new_page(), api, name)
    await visitor.page.add_init_script(_NOTE_VIOLATIONS)
    visitor.watch()
    if meets is None:
        await visitor.page.goto(answer["link"])
        await expect(visitor.page.get_by_role("navigation", name="Characters")).to_be_attached()
    else:
        character = await api.character(**meets)
        await visitor.page.goto(f"{answer['link']}#/c/{character}")
        await visitor.is_with(character)
    return visitor
