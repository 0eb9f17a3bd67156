"""Reference pictures of items: brought by upload or by address, kept clean, known by their sha256."""

from server.catalog.references.models import Finding, FindingKind, Reference
from server.catalog.references.store import References

__all__ = ["Finding", "FindingKind", "Reference", "References"]
