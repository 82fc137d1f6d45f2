"""Any other local model, run by sentence-transformers when the operator names one (DESIGN 4.3).

The one module that imports torch, and only once a text comes. A model is a folder, or a name that was downloaded
before; nothing is ever fetched, and no code that comes with a model is run. The model's id carries a digest of its
files, so that the vectors of an exchanged model are never compared with those of the old one.
"""

from __future__ import annotations

import hashlib
import threading
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memstore.embed import bad_model, checked, no_model

if TYPE_CHECKING:
    from memstore.ports import Vector

DESCRIBED_BY = "modules.json"  # what makes a folder a model of sentence-transformers
PUBLISHER = "sentence-transformers"
DIGITS = 16
DOCUMENTS = {".md", ".png", ".pdf"}
NAME_ANOTHER = "Set MEMSTORE_MODEL to the folder of a sentence-transformers model, or unset it for the default one."


class SentenceTransformersEmbedder:
    """A model by folder or name. Made without torch; refuses with `no_model` what is not on this machine."""

    def __init__(self, name_or_path: str) -> None:
        self._folder = _folder_of(name_or_path)
        self._name = self._folder.name if Path(name_or_path).expanduser().is_dir() else name_or_path
        # Its tokenizers fail when two threads use them at once.
        self._one_at_a_time = threading.Lock()
        self._loaded: Any = None

    @cached_property
    def model_id(self) -> str:
        """Name, digest of the files, runner and precision."""
        try:
            return f"{self._name}@{_digest(self._folder)}/torch-f32"
        except OSError as error:
            raise no_model("The files of the model that MEMSTORE_MODEL names cannot be read", NAME_ANOTHER) from error

    @cached_property
    def dimension(self) -> int:
        """As the model itself gives it: asking loads the model."""
        return len(self._vector(""))

    def embed(self, texts: list[str]) -> Vector:
        """One vector of length 1 for each text, of as much of it as the model reads; safe to call from threads."""
        import numpy as np

        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        for row, text in enumerate(texts):
            vectors[row] = self._vector(text)
        return checked(vectors, count=len(texts), dimension=self.dimension)

    def _vector(self, text: str) -> Any:
        # A query may hold half a surrogate pair, which tokenizers refuse.
        whole = text.encode(errors="replace").decode()
        with self._one_at_a_time:
            if self._loaded is None:
                self._loaded = _load(self._folder)
            return self._loaded.encode(whole, normalize_embeddings=True, show_progress_bar=False)


def _folder_of(name_or_path: str) -> Path:
    path = Path(name_or_path).expanduser()
    found = path.resolve() if path.is_dir() else _downloaded(name_or_path)
    if not (found / DESCRIBED_BY).is_file():
        raise no_model("What MEMSTORE_MODEL names is no sentence-transformers model", NAME_ANOTHER)
    return found


def _downloaded(name: str) -> Path:
    """The folder of a model that was downloaded before, by its full or its short name."""
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise no_model("The package that finds models by name is not installed", NAME_ANOTHER) from error
    for repository in (name, f"{PUBLISHER}/{name}"):
        try:
            return Path(snapshot_download(repository, local_files_only=True))
        except (OSError, ValueError):  # not downloaded; no name of a model
            continue
    raise no_model("The model that MEMSTORE_MODEL names is not on this machine", NAME_ANOTHER)


def _load(folder: Path) -> Any:
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise no_model(
            "The package that runs other models is not installed",
            "Install sentence-transformers, or unset MEMSTORE_MODEL.",
        ) from error
    try:
        # A folder needs no network; the two refusals hold for whatever the model's own files name.
        return SentenceTransformer(str(folder), device="cpu", local_files_only=True, trust_remote_code=False)
    except Exception as error:  # of any class: what a damaged model raises is nowhere stated
        raise bad_model("The model that MEMSTORE_MODEL names cannot be loaded", NAME_ANOTHER) from error


def _digest(folder: Path) -> str:
    """What names the model's files as they are now; documents and hidden files say nothing of the model."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if not path.is_file() or path.suffix in DOCUMENTS or any(part.startswith(".") for part in name.parts):
            continue
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{content} {name.as_posix()}\n".encode())
    return total.hexdigest()[:DIGITS]
