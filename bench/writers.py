"""Several processes that write to one store at once, each as an agent of its own."""

from __future__ import annotations

import itertools
import multiprocessing
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path

from bench.floors import Told
from bench.loads import LEAD, Loaded
from bench.texts import Words
from memstore import admin
from memstore.config import NO_MODEL, open_store
from memstore.errors import MemStoreError


def write_together(store: Loaded, *, processes: int, each: int) -> Told:
    """What `processes` agents took for `each` writes, from a common start; every error is kept."""
    names = [f"writer-{number}" for number in range(processes)]
    for name in names:
        admin.add_agent(store.house, name, under=LEAD)
    spawn = multiprocessing.get_context("spawn")
    ready, answers = spawn.Barrier(processes), spawn.Queue()
    for number, name in enumerate(names):
        spawn.Process(target=_write, args=(store.folder, name, number, each, ready, answers)).start()
    told = Told()
    for _ in names:
        found: Told = answers.get()
        told.taken += found.taken
        told.errors += found.errors
    return told


def _write(folder: Path, name: str, seed: int, each: int, ready: Barrier, answers: multiprocessing.Queue[Told]) -> None:
    told = Told()
    texts = list(itertools.islice(Words(seed).texts(), each))
    with open_store(folder, agent=name, model=NO_MODEL) as store:
        ready.wait()
        for text in texts:
            start = time.perf_counter()
            try:
                store.write("finding", text.title, text.body)
            except MemStoreError as error:
                told.errors.append(str(error))
            told.taken.append((time.perf_counter() - start) * 1000)
    answers.put(told)
