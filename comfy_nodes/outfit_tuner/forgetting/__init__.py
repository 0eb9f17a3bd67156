"""Taking out of this ComfyUI what a server brought to it and had it make."""

from .forgetter import Folders, Forgetter, Kept, Queue, Render

__all__ = ["Folders", "Forgetter", "Kept", "Queue", "Render"]
