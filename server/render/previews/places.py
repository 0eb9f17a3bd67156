"""Where a preview's files lie in the object store."""

__all__ = ["picture", "record", "start_frame"]


def picture(key: str) -> str:
    return f"previews/{key[:2]}/{key}/picture.webp"


def record(key: str) -> str:
    """What the picture was made of and with: not for end users."""
    return f"previews/{key[:2]}/{key}/record.json"


def start_frame(key: str, width: int, height: int) -> str:
    return f"previews/{key[:2]}/{key}/start-{width}x{height}.png"


def is_start_frame(path: str) -> bool:
    return path.rpartition("/")[2].startswith("start-")


def folder(key: str) -> str:
    return f"previews/{key[:2]}/{key}"
