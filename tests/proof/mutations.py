"""Breaks a copy of the package on purpose, one promise at a time: the proof has to notice each.

    python -m tests.proof.mutations [--only NAME] [--unbroken]

``--unbroken`` runs the same commands on the unchanged copy: none may complain.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIMIT_S = 600


@dataclass(frozen=True)
class Mutation:
    """One deliberate breakage and the command that has to notice it."""

    name: str
    file: str
    old: str
    new: str
    noticed_by: tuple[str, ...]


_SETTLE = """            newer = self._documents.file(claim, result.state)
            durable.remove(self._layout.journal(claim.document))
            durable.remove(self._layout.cancel(claim.document))
            self._unlock(claim)
"""
_LIVES = ("pytest", "tests/stateful/test_daemon_machine.py", "-q", "-x")
_TOLD = ("pytest", "tests/store/test_order_told.py", "-q", "-x", "-k", "is_the_order_run")
_TAKEN = "encode(record))\n    except FileExistsError:\n        earlier"
_WAITING = ("pytest", "tests/daemon/test_supervision.py", "-q", "-x")
_EVENTS = ("pytest", "tests/store/test_event_log.py", "-q", "-x")
_REBUILD = ("pytest", "tests/store/test_event_rebuild.py", "-q", "-x")
_SUPERVISION = "task_queue/daemon/supervision.py"
MUTATIONS = (
    Mutation(
        "no fsync of files and directories",
        "task_queue/platform/durable.py",
        "os.fsync(fd)",
        "pass",
        ("tests.proof.power_cut", "--first", "20", "--every", "5"),
    ),
    Mutation(
        "no fsync of directories",
        "task_queue/platform/durable.py",
        "    try:\n        os.fsync(fd)\n    except OSError as error:",
        "    try:\n        pass\n    except OSError as error:",
        ("pytest", "tests/proof/test_order.py", "-q"),
    ),
    Mutation(
        "unlock before the move",
        "task_queue/store/folder/queue.py",
        _SETTLE,
        "".join(reversed(_SETTLE.splitlines(keepends=True))),
        ("tests.proof.crash_points", "--scenario", "once", "--actor", "daemon", "--first", "46"),
    ),
    Mutation(
        "the pid alone is trusted",
        "task_queue/platform/identity.py",
        "return identity.boot_id == boot_id() and identity_of(identity.pid) == identity",
        "return identity_of(identity.pid) is not None",
        ("tests.proof.faults", "--case", "reused_pid"),
    ),
    Mutation(
        "the last writer of an ending wins",
        "task_queue/store/folder/attempts.py",
        f"        durable.publish(path, {_TAKEN}",
        f"        durable.replace(path, {_TAKEN}",
        ("pytest", "tests/store", "-q"),
    ),
    Mutation(
        "left-over processes are not ended",
        "task_queue/daemon/runners.py",
        "        return identity.end_tree(marker, grace_s=0)",
        "        return 0",
        ("pytest", "tests/acceptance/test_daemon.py", "-q", "-k", "leaves_nothing_running"),
    ),
    Mutation(
        "a running agent is not taken over",
        "task_queue/daemon/runners.py",
        "return None if pidfd is None else _Runner(pidfd, run.marker)",
        "return None",
        _LIVES,
    ),
    Mutation(
        "a newer text is not kept",
        "task_queue/store/folder/documents.py",
        "            return move_to_free_name(document, newer).name",
        "            document.unlink()\n            return newer.name",
        _LIVES,
    ),
    Mutation(
        "a cancel is not seen",
        _SUPERVISION,
        "if self._requests.cancel_requested(claim):\n                        outcome_if_killed",
        "if False:\n                        outcome_if_killed",
        _WAITING,
    ),
    Mutation(
        "a cancelled runner is not asked to end",
        _SUPERVISION,
        "attempt.stop(Stop.CANCEL)",
        "pass",
        _WAITING,
    ),
    Mutation(
        "a cancelled runner has no time to end",
        _SUPERVISION,
        "kill_at = now + CANCEL_GRACE_S",
        "kill_at = now",
        _WAITING,
    ),
    Mutation(
        "a stop is not seen",
        _SUPERVISION,
        "elif self._stopping():",
        "elif False:",
        _WAITING,
    ),
    Mutation(
        "a stopped runner is not asked to end",
        _SUPERVISION,
        "attempt.stop(Stop.SUSPEND)",
        "pass",
        _WAITING,
    ),
    Mutation(
        "a stopped runner has no time to end",
        _SUPERVISION,
        "else now + self._timing().stop_grace_s",
        "else now",
        _WAITING,
    ),
    Mutation(
        "a stop now gives time",
        _SUPERVISION,
        "kill_at = now if self._at_once() else now",
        "kill_at = now",
        _WAITING,
    ),
    Mutation(
        "a runner that outlives its time goes on",
        _SUPERVISION,
        "elif overdue_at is not None and now >= overdue_at:",
        "elif False:",
        _WAITING,
    ),
    Mutation(
        "a runner that ignores its end goes on",
        _SUPERVISION,
        "if outcome_if_killed is not None and kill_at is not None and now >= kill_at:",
        "if False:",
        _WAITING,
    ),
    Mutation(
        "a deadline waits for the sweep",
        _SUPERVISION,
        "min([self._timing().sweep_s, *next_looks])",
        "self._timing().sweep_s",
        _WAITING,
    ),
    Mutation(
        "an answer does not open the account",
        _SUPERVISION,
        "self._admission.account_works()",
        "pass",
        _WAITING,
    ),
    Mutation(
        "an account opens without an answer",
        _SUPERVISION,
        "and progress_of(self._attempts.transcript(claim)).turns",
        "and True",
        _WAITING,
    ),
    Mutation(
        "the end of a killed agent is not looked for",
        _SUPERVISION,
        "finished = self._rebuilt(claim) if",
        "finished = None if",
        _WAITING,
    ),
    Mutation(
        "what a dead runner left goes on",
        _SUPERVISION,
        "return self._runners.sweep(marker)",
        "return 0",
        _WAITING,
    ),
    Mutation(
        "an adopted runner takes no place",
        _SUPERVISION,
        "self._admission.count_in(self._source, self._may_spend(claim))",
        "pass",
        _WAITING,
    ),
    Mutation(
        "front ends ignore the defaults",
        "task_queue/config/document.py",
        'usable_layers(document.get("defaults"), source.defaults, executors=names)',
        "usable_layers(executors=names)",
        _TOLD,
    ),
    Mutation(
        "front ends look for dependencies in one source",
        "task_queue/store/snapshot.py",
        "layouts = (source.layout for source in self._sources.values())",
        "layouts = [source.layout for source in self._sources.values()][:1]",
        _TOLD,
    ),
    Mutation(
        "front ends do not follow numbered records",
        "task_queue/store/snapshot.py",
        "states.state_in(layouts, task_id)",
        "next(filter(None, (states.ended_state(each, task_id) for each in layouts)), None)",
        _TOLD,
    ),
    Mutation(
        "a worker keeps what it once knew of a dependency",
        "task_queue/domain/document/backlog.py",
        "            self._moved.add(name)\n\n    def all_moved",
        "            pass\n\n    def all_moved",
        ("pytest", "tests/domain/test_backlog.py", "-q"),
    ),
    Mutation(
        "events are appended without the lock",
        "task_queue/store/event_log.py",
        "            with self._lock.held(within_s=patience_s):\n"
        "                return self._write(body)\n        except",
        "            return self._write(body)\n        except",
        (*_EVENTS, "-k", "share_one_numbering or stuck_lock"),
    ),
    Mutation(
        "an event's number is used again after a rotation",
        "task_queue/store/event_log.py",
        "self._fd, self._first, self._end = created, first, SegmentEnd(0, first - 1, 0)",
        "self._fd, self._first, self._end = created, first, SegmentEnd(0, 0, 0)",
        _EVENTS,
    ),
    Mutation(
        "a cursor of another epoch is taken for one of this",
        "task_queue/store/event_reader.py",
        "            if not self._go_after(epoch):\n                yield self._begin(epoch)",
        "            self._go_after(epoch) or self._begin(epoch)",
        _REBUILD,
    ),
    Mutation(
        "lost events are not counted",
        "task_queue/store/event_log.py",
        "            self._lost += 1\n",
        "            self._lost = 1\n",
        _EVENTS,
    ),
    Mutation(
        "a torn event is not ended",
        "task_queue/store/event_log.py",
        'data = b"\\n" if self._end.fragment else b""',
        'data = b""',
        _EVENTS,
    ),
    Mutation(
        "half an event stays on a full disk",
        "task_queue/store/event_log.py",
        "            os.ftruncate(fd, size)\n",
        "",
        (*_EVENTS, "-k", "full_disk"),
    ),
    Mutation(
        "reindex forgets what is written meanwhile",
        "task_queue/store/event_rebuild.py",
        "            self._copy(meanwhile)\n",
        "",
        _REBUILD,
    ),
    Mutation(
        "what was spent is not synced",
        "task_queue/platform/durable.py",
        "        if sync:\n            os.fsync(fd)\n",
        "",
        ("pytest", "tests/proof/test_order.py", "-q", "-k", "what_was_spent"),
    ),
    Mutation(
        "reindex leaves out what needs a person",
        "task_queue/app/event_feed.py",
        "attention += note_need_of(layouts[source], result)",
        "pass",
        ("pytest", "tests/cli/test_events.py", "-q", "-x", "-k", "reindex"),
    ),
    Mutation(
        "what is not named needs no person",
        "task_queue/app/attention.py",
        "    more = len(stuck) - named\n",
        "    more = 0\n",
        ("pytest", "tests/app/test_attention.py", "-q", "-x"),
    ),
)


def is_noticed(mutation: Mutation, *, unbroken: bool = False) -> bool:
    """Whether the command complains about a copy of the package that is broken so."""
    with tempfile.TemporaryDirectory(prefix="tq-proof-") as folder:
        copy = Path(folder)
        for name in ("task_queue", "tests"):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        broken = copy / mutation.file
        source = broken.read_text()
        assert mutation.old in source, f"{mutation.file} has changed: {mutation.name} cannot be applied"
        if not unbroken:
            broken.write_text(source.replace(mutation.old, mutation.new))
        environment = {"PATH": os.environ["PATH"], "HOME": folder, "PYTHONPATH": folder}
        done = subprocess.run(
            [sys.executable, "-m", *mutation.noticed_by],
            cwd=copy, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False,
        )  # fmt: skip
        lines = [line for line in done.stdout.splitlines() if line.strip()] or [done.stderr[-300:]]
        print(f"  {' '.join(mutation.noticed_by)}: {lines[-1]}")
        if "Traceback" in done.stderr:  # the proof broke down: that shows nothing
            raise RuntimeError(done.stderr)
        return done.returncode != 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", choices=[mutation.name for mutation in MUTATIONS])
    parser.add_argument("--unbroken", action="store_true")
    options = parser.parse_args()
    wrong = 0
    wanted = [m for m in MUTATIONS if options.only in {None, m.name}]
    for mutation in wanted:
        noticed = is_noticed(mutation, unbroken=options.unbroken)
        wrong += noticed is options.unbroken
        print(f"{mutation.name}: {'noticed' if noticed else 'NOT noticed'}", flush=True)
    print(f"{len(wanted)} mutations, {len(wanted) - wrong} as expected")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
