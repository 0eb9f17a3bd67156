"""What the bot needs to know, from the settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from server.accounts.principal import OWNER
from server.errors import SettingsError
from server.settings import Settings


@dataclass(frozen=True, slots=True)
class Options:
    """`people`: Telegram's id of everyone who may talk with the bot → the user they are on the server."""

    token: str
    key: str
    api: str
    server: str
    people: Mapping[int, str]

    def __repr__(self) -> str:
        return f"Options(api={self.api!r}, server={self.server!r}, people={len(self.people)})"

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Raises:
        SettingsError: something is missing that the bot cannot do without.
        """
        if settings.telegram_token is None:
            raise SettingsError("telegram_token is not set: ask @BotFather in Telegram for a bot, and give its token.")
        if settings.telegram_key is None:
            raise SettingsError(
                "telegram_key is not set: `vestige keys create telegram --scope chat --scope characters "
                "--scope catalog` makes one."
            )
        people = {int(number): user for number, user in settings.telegram_users.items()}
        if settings.telegram_owner is not None:
            people[settings.telegram_owner] = OWNER
        return cls(
            token=settings.telegram_token.get_secret_value(),
            key=settings.telegram_key.get_secret_value(),
            api=settings.telegram_api.rstrip("/"),
            server=settings.telegram_server.rstrip("/"),
            people=people,
        )
