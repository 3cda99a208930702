"""The worker of one library, until it is ended: ``python -m benchmarks.peers.worker KIND WHERE``."""

from __future__ import annotations

import importlib
import logging
import sys
from pathlib import Path

from benchmarks.peers import job
from benchmarks.peers.libraries import huey_in, procrastinate_at, rq_at


def main(kind: str, where: str) -> None:
    logging.disable()
    match kind:
        case "huey":
            queue = huey_in(Path(where))
            queue.task()(job.run)
            queue.create_consumer(workers=1).run()
        case "rq" | "rq-simple":
            rq, queue = importlib.import_module("rq"), rq_at(Path(where))
            worker = rq.Worker if kind == "rq" else rq.SimpleWorker
            worker([queue], connection=queue.connection).work(logging_level="CRITICAL")
        case "procrastinate":
            app = procrastinate_at(where, is_worker=True)
            app.task(name="job")(job.run)
            app.run_worker(concurrency=1)
        case _:
            raise ValueError(kind)


if __name__ == "__main__":
    main(*sys.argv[1:])
