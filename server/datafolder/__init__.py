"""The data folder: one lock, one schema version, and where everything in it lies."""

from server.datafolder.folder import DataFolder

__all__ = ["DataFolder"]
