"""What a character is called where no tenants are known: on a ComfyUI host."""

from server.accounts.principal import HOME
from server.loras.records import LoraVersion

__all__ = ["at_hosts", "name_at_hosts", "registered", "tenant_of_listed"]


def name_at_hosts(tenant: str, name: str) -> str:
    """`halina` of the household, `acme.halina` of another tenant: ids hold no dot."""
    return name if tenant == HOME else f"{tenant}.{name}"


def at_hosts(tenant: str, version: LoraVersion) -> LoraVersion:
    """A version by its character's name at the hosts."""
    return LoraVersion(name_at_hosts(tenant, version.name), version.version, version.sha256)


def registered(name: str) -> tuple[str, str]:
    """`(tenant, name)` of a character that hosts call `name`."""
    tenant, dot, rest = name.partition(".")
    return (tenant, rest) if dot else (HOME, name)


def tenant_of_listed(name: str) -> str:
    """Whose a LoRA or character is that a host lists, `acme.halina_v3.safetensors` or `people/acme.halina/v3.sft`."""
    path = name.replace("\\", "/").removesuffix(".safetensors").removesuffix(".sft")
    return next((registered(part)[0] for part in path.split("/") if "." in part), HOME)
