"""What may be spent per UTC day, in micro-dollars: by one user, by one tenant, by all."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Self

from server.routing.types import Payer
from server.settings import Settings


@dataclass(frozen=True, slots=True)
class Ceilings:
    """None is no ceiling; 0 lets through only what costs nothing. `users` goes by tier, `tenants` by name.

    A tier that is no plan any more has the default plan's ceiling.
    """

    total: int | None
    tenant: int | None
    tenants: Mapping[str, int]
    users: Mapping[str, int | None]
    default_tier: str

    @classmethod
    def of(cls, settings: Settings) -> Self:
        return cls(
            total=_micro(settings.daily_budget),
            tenant=_micro(settings.tenant_daily_budget),
            tenants={name: int(limit * 1_000_000) for name, limit in settings.tenant_daily_budgets.items()},
            users={tier: _micro(plan.daily_budget) for tier, plan in settings.plans.items()},
            default_tier=settings.default_tier,
        )

    def of_user(self, tier: str) -> int | None:
        return self.users.get(tier, self.users[self.default_tier])

    def of_tenant(self, tenant: str) -> int | None:
        return self.tenants.get(tenant, self.tenant)

    def written(self, payer: Payer) -> str:
        """As the scripts read them: `user,tenant,global`."""
        three = (self.of_user(payer.tier), self.of_tenant(payer.tenant), self.total)
        return ",".join("" if ceiling is None else str(ceiling) for ceiling in three)


def _micro(dollars: Decimal | None) -> int | None:
    return None if dollars is None else int(dollars * 1_000_000)
