"""all-MiniLM-L6-v2 run by onnxruntime and tokenizers: no torch, no network (DESIGN 4.3).

The same text gives the same bytes on one machine, whatever else is embedded and by how many threads: texts are run one
at a time, which is also no slower. Nothing heavy is imported before the first text; the files' hashes are checked at
every start, beside those imports, before anything of them is used.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memstore.embed import bad_model, checked, no_model
from memstore.embed.conversion import (
    DIMENSION,
    INSTALL,
    MAX_TOKENS,
    TOKENIZER,
    graph_of,
    packaged_model,
    verify_model,
)
from memstore.errors import MemStoreError

if TYPE_CHECKING:
    from memstore.ports import Vector


class OnnxEmbedder:
    """The default model. Made at once; refuses with `no_model` where none is installed.

    `cache` is the folder that keeps the converted graph (None: converted at each start, 0.1 s); `folder` holds the
    model's files if they are not the installed package's. More than one of `threads` pays on idle cores only.
    """

    model_id = "all-MiniLM-L6-v2/onnx-f32"
    dimension = DIMENSION

    def __init__(self, cache: Path | None = None, *, folder: Path | None = None, threads: int = 1) -> None:
        self._cache = cache
        self._folder = folder or packaged_model()
        self._threads = threads
        self._loading = threading.Lock()
        self._loaded: tuple[Any, Any] | None = None

    def embed(self, texts: list[str]) -> Vector:
        """One vector of length 1 for each text, of its first 256 tokens; safe to call from several threads."""
        tokenizer, runner = self._ready()
        import numpy as np

        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        for row, text in enumerate(texts):
            # A query may hold half a surrogate pair, which the tokenizer refuses.
            with _refusing("The embedding model failed"):
                ids = np.array([tokenizer.encode(text.encode(errors="replace").decode()).ids], dtype=np.int64)
                vectors[row] = runner.run(["vectors"], {"ids": ids, "mask": np.ones_like(ids)})[0][0]
        return checked(vectors, count=len(texts), dimension=self.dimension)

    def _ready(self) -> tuple[Any, Any]:
        with self._loading:
            if self._loaded is None:
                with _refusing("The embedding model cannot be loaded"):
                    self._loaded = self._load()
            return self._loaded

    def _load(self) -> tuple[Any, Any]:
        with ThreadPoolExecutor(1) as beside:
            # Hashing 90 MB leaves the interpreter free, so it is done by the time the imports are.
            verified = beside.submit(verify_model, self._folder)
            try:
                import onnxruntime
                from tokenizers import Tokenizer
            except ImportError as error:
                raise no_model("The packages that run the model are not installed", INSTALL) from error
            weights = verified.result()
        tokenizer = Tokenizer.from_file(str(self._folder / TOKENIZER))
        # The file asks for padding to 128 tokens, which costs time and changes no vector.
        tokenizer.no_padding()
        tokenizer.enable_truncation(MAX_TOKENS)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        # Threads that spin while they wait take the core from whoever else has work.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(weights.parent))
        graph = graph_of(weights, self._cache)
        return tokenizer, onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


@contextmanager
def _refusing(what: str) -> Iterator[None]:
    """Whatever the libraries that run a model raise, as a refusal of ours: its classes are nowhere stated."""
    try:
        yield
    except MemStoreError:
        raise
    except Exception as error:
        raise bad_model(what) from error
