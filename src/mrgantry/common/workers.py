"""Many scans at once: one process a core, or a Dask cluster, through `concurrent.futures`."""

import ast
import inspect
import multiprocessing
import os
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import TypeVar

from mrgantry.common.errors import RunError

Item = TypeVar("Item")
Result = TypeVar("Result")
PATIENCE = 10  # seconds in which a Dask scheduler must answer
AHEAD = 3  # items handed out for every core, so that none waits and few are held


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
    cluster: str | None = None,
    lost: Callable[[Item], Result] | None = None,
) -> Iterator[tuple[Item, Result]]:
    """Run `work` on every item in parallel and yield results as they finish.

    Only a few items are handed out at a time, so memory does not grow with their number.

    Args:
        work: A function of one argument that can be pickled.
        items: What to work on.
        workers: Processes; 1 runs in this process. Defaults to one a core.
        cluster: Address of a Dask scheduler whose workers are used instead. They must
            see the same files under the same paths.
        lost: Gives the result of an item whose process died, for lack of memory or by
            a fault in a library; without it such a death ends the work.

    Yields:
        Pairs of item and result, in order of completion.

    Raises:
        RunError: The cluster cannot be reached, or a process died, or a script calls this where
            every process would call it again.
    """
    waiting = iter(items)
    if cluster:
        with _dask(cluster) as (executor, count):
            yield from _spread(work, waiting, executor, AHEAD * count)
        return
    workers = workers or cores()
    if workers == 1:
        for item in waiting:
            yield item, work(item)
        return
    refuse_without_guard()
    suspects: list[Item] | None = []
    while suspects is not None:
        for item in suspects:
            yield item, _alone(work, item, lost)
        with _processes(workers) as pool:
            suspects = yield from _spread(work, waiting, pool, AHEAD * workers)


def refuse_without_guard() -> None:
    """Refuse to start processes from the top of a script.

    Each process imports the script anew, and would come to the same call and start more.

    Raises:
        RunError: The script calls this outside of `if __name__ == "__main__":`.
    """
    frame: FrameType | None = inspect.currentframe()
    while frame is not None and not (
        frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__") == "__main__"
    ):
        frame = frame.f_back
    spec = frame and frame.f_globals.get("__spec__")
    if frame is None or (spec and spec.name.endswith("__main__")):  # python -m: not imported again
        return
    try:
        script, line = Path(frame.f_code.co_filename), frame.f_lineno
        tree = ast.parse(script.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return  # a notebook, or typed in: nothing is imported again
    guarded = any(
        isinstance(part, ast.If)
        and "__name__" in ast.dump(part.test)
        and part.lineno <= line <= (part.end_lineno or part.lineno)
        for part in tree.body
    )
    if not guarded:
        raise RunError(
            f"{script} starts several processes in line {line}, and each of them would run the "
            'script from its top and start more. Put the call below `if __name__ == "__main__":`, '
            "or take workers=1."
        )


@contextmanager
def _processes(workers: int) -> Iterator[Executor]:
    # Forking a process that holds threads can deadlock, so workers start afresh.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=start_worker)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _spread(
    work: Callable[[Item], Result], waiting: Iterator[Item], pool: Executor, ahead: int
) -> Generator[tuple[Item, Result], None, list[Item] | None]:
    """Work through the items; return those under way if a process dies, else None."""
    running: dict[Future[Result], Item] = {}
    while True:
        try:
            for item in islice(waiting, ahead - len(running)):
                running[_submit(pool, work, item)] = item
            if not running:
                return None
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                result = future.result()
                yield running.pop(future), result
        except BrokenProcessPool:
            return list(running.values())


def _submit(pool: Executor, work: Callable[[Item], Result], item: Item) -> "Future[Result]":
    """Hand out an item; one that a broken pool refuses counts as under way, not as lost."""
    try:
        return pool.submit(work, item)
    except BrokenProcessPool as error:
        refused: Future[Result] = Future()
        refused.set_exception(error)
        return refused


def _alone(
    work: Callable[[Item], Result], item: Item, lost: Callable[[Item], Result] | None
) -> Result:
    """Run one item in a process of its own, to learn whether it is the one that kills."""
    with _processes(1) as pool:
        try:
            return pool.submit(work, item).result()
        except BrokenProcessPool as error:
            if lost is not None:
                return lost(item)
            raise RunError(
                "A worker process died; most often memory ran out. Use fewer --workers."
            ) from error


@contextmanager
def _dask(address: str) -> Iterator[tuple[Executor, int]]:
    """Connect to a Dask cluster; give its executor and its number of cores."""
    try:
        from distributed import Client  # noqa: PLC0415 (an optional part)
    except ImportError as error:
        raise RunError("A cluster needs Dask: pip install 'mrgantry[cluster]'.") from error
    try:
        client = Client(address, timeout=PATIENCE)
    except (OSError, ValueError) as error:
        raise RunError(
            f"No Dask scheduler answers at {address}; start one with `dask scheduler` and "
            "give its address, as tcp://host:8786."
        ) from error
    with client:
        count = sum(client.ncores().values())
        if not count:
            raise RunError(f"The Dask cluster at {address} has no workers; start some first.")
        yield client.get_executor(), count


def in_threads(
    work: Callable[[Item], Result], items: Iterable[Item], threads: int | None = None
) -> Iterator[Result]:
    """Run `work` on every item in some threads, and give the results in the items' order.

    For work that spends its time in NumPy and PyTorch and shares large arrays. Each call keeps to
    one thread: several such calls side by side are faster than one that splits every small
    matrix.

    Args:
        work: A function of one argument; its results must not depend on global state.
        items: What to work on.
        threads: How many; defaults to one a core.
    """
    import torch  # noqa: PLC0415 (not every command needs it)
    from threadpoolctl import threadpool_limits  # noqa: PLC0415

    with (
        threadpool_limits(1),
        ThreadPoolExecutor(
            threads or cores(), initializer=torch.set_num_threads, initargs=(1,)
        ) as pool,
    ):
        yield from pool.map(work, items)
