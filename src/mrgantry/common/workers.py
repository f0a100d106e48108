"""Many scans at once: one process a core, through `concurrent.futures`."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def cores() -> int:
    """Give the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def start_worker() -> None:
    """Keep a worker process to one thread, and end it when its parent is gone.

    The processes already fill the cores. And a parent that is killed cannot stop its
    workers: left alone they would wait for work for ever, and hold their memory.
    """
    import torch  # noqa: PLC0415 (only workers need it)

    torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def each(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int | None = None,
    executor: Executor | None = None,
) -> Iterator[tuple[Item, Result]]:
    """Run `work` on every item in parallel and yield results as they finish.

    Args:
        work: A function of one argument that can be pickled.
        items: What to work on.
        workers: Processes; 1 runs in this process. Defaults to one a core.
        executor: Another executor to use instead, for example a cluster's.

    Yields:
        Pairs of item and result, in order of completion.
    """
    workers = workers or cores()
    if executor is None and workers == 1:
        for item in items:
            yield item, work(item)
        return
    # Forking a process that holds threads can deadlock, so workers start afresh.
    context = multiprocessing.get_context("spawn")
    pool = executor or ProcessPoolExecutor(workers, context, initializer=start_worker)
    try:
        futures = {pool.submit(work, item): item for item in items}
        for future in as_completed(futures):
            yield futures.pop(future), future.result()
    finally:
        if executor is None:
            pool.shutdown(cancel_futures=True)
