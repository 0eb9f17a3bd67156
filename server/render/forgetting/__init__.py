"""What ComfyUI hosts are to forget: renders whose picture is stored or not wanted, references and pictures that were
erased. It is written down before anything is deleted here, and kept until the host has done it.

    things      a thing to forget, as text       todo        each host's list, in the state Redis
    asking      asking one host, with our pack or without      forgetting  doing it, and saying what is left
"""

from server.render.forgetting.forgetting import Forgetting, Left
from server.render.forgetting.todo import Todo

__all__ = ["Forgetting", "Left", "Todo"]
