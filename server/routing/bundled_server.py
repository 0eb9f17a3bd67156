"""The bundled model's own process: llama.cpp's HTTP server on a loopback port, for as long as its parent lives.

    python -P bundled_server.py  < one line of JSON, then the pipe stays open  > {"address": "http://127.0.0.1:41449"}

The line: `{"model": path, "name": id, "key": secret, "slots": n, "context": tokens of all slots together, "threads": n,
"batch_threads": n}`. The key comes by the pipe because arguments can be read by every user of the machine. When the
pipe closes, which the kernel does for a parent that was killed too, the process ends at once.

Run as a file and importing nothing of the server, so that it starts fast and needs no import path.
"""

import importlib
import json
import os
import signal
import sys
from typing import Any


def _parameters(llama: Any, order: dict[str, Any]) -> Any:
    """llama.cpp's parameters: loopback only, a key on everything that generates, no page, no prompts on show."""
    params = llama.CommonParams()
    params.model.path = order["model"]
    params.model_alias = [order["name"]]
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [order["key"]]
    params.cors_origins = ""
    params.ui = False
    params.endpoint_slots = False
    params.endpoint_props = False
    params.endpoint_metrics = True
    params.verbosity = 1

    params.n_parallel = order["slots"]
    params.n_ctx = order["context"]
    params.cache_ram_mib = 128
    params.n_batch = params.n_ubatch = 256  # an abort is noticed between batches
    params.n_gpu_layers = 0  # for 135 M parameters a GPU's start-up costs more than it saves
    params.cpuparams.n_threads = order["threads"]
    params.cpuparams.poll = 0
    params.cpuparams_batch.n_threads = order["batch_threads"]
    params.cpuparams_batch.poll = 0
    params.n_threads_http = 16  # each open stream holds one, queued ones too

    # A model this small falls into loops: cool it a little and make repetition dear.
    params.sampling.temp = 0.6
    params.sampling.top_p = 0.9
    params.sampling.min_p = 0.08
    params.sampling.penalty_repeat = 1.1
    params.sampling.penalty_last_n = 256
    return params


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent drains, then ends us
    llama = importlib.import_module("xllamacpp")
    line = sys.stdin.buffer.readline()
    if not line:
        return
    server = llama.Server(_parameters(llama, json.loads(line)))
    sys.stdout.write(json.dumps({"address": server.listening_address}) + "\n")
    sys.stdout.flush()

    # Whatever llama.cpp has to say from here on may quote a prompt.
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    while sys.stdin.buffer.read(4096):
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
