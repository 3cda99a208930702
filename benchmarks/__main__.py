"""All benchmarks, one after the other: ``make bench``."""

from __future__ import annotations

from benchmarks import checkouts, fleet, history, idle, latency, status, throughput


def main() -> None:
    for benchmark in (status, history, latency, throughput, idle, checkouts, fleet):
        print(f"\n== {benchmark.__name__.rpartition('.')[2]}", flush=True)
        benchmark.main()


if __name__ == "__main__":
    main()
