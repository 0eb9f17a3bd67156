"""Where a preview's files lie in the object store: each under the job that stored them, and nowhere twice.

What is taken away is then never what another job stores under the same key just now, nor what another tenant has of the
same content.
"""

__all__ = ["folder", "is_start_frame", "key_and_job", "picture", "record", "start_frame"]


def folder(key: str, job: str) -> str:
    return f"previews/{key[:2]}/{key}/{job}"


def picture(folder: str) -> str:
    return f"{folder}/picture.webp"


def record(folder: str) -> str:
    """What the picture was made of and with: not for end users."""
    return f"{folder}/record.json"


def start_frame(folder: str, width: int, height: int) -> str:
    return f"{folder}/start-{width}x{height}.png"


def is_start_frame(path: str) -> bool:
    return path.rpartition("/")[2].startswith("start-")


def key_and_job(path: str) -> tuple[str, str]:
    """Of which key a file is, and which job stored it."""
    _, _, key, job, *_ = path.split("/")
    return key, job
