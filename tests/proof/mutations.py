"""Breaks a copy of the package on purpose, one promise at a time: the proof has to notice each.

    python -m tests.proof.mutations [--only NAME]... [--unbroken]

``--unbroken`` runs the same commands on the unchanged copy: none may complain.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.proof.mutation import Mutation
from tests.proof.order_mutations import ORDER

ROOT = Path(__file__).parents[2]
LIMIT_S = 600


_SETTLE = """            newer = self._documents.file(claim, result.state)
            remove_file(self._layout, self._layout.journal(claim.document))
            remove_file(self._layout, self._layout.cancel(claim.document))
            self._unlock(claim)
"""
_LIVES = ("pytest", "tests/stateful/test_daemon_machine.py", "-q", "-x")
_TOLD = ("pytest", "tests/store/test_order_told.py", "-q", "-x", "-k", "is_the_order_run")
_TAKEN = "encode(record))\n    except FileExistsError:\n        earlier"
_WAITING = ("pytest", "tests/daemon/test_supervision.py", "-q", "-x")
_EVENTS = ("pytest", "tests/store/test_event_log.py", "-q", "-x")
_REBUILD = ("pytest", "tests/store/test_event_rebuild.py", "-q", "-x")
_MADE = ("pytest", "tests/git/test_made.py", "-q", "-x")
_UNWANTED = ("pytest", "tests/git/test_unwanted.py", "-q", "-x")
_PUT_AWAY = ("pytest", "tests/git/test_put_away.py", "-q", "-x")
_OWNER_STATE = ("pytest", "tests/git/test_owner_state.py", "-q", "-x")
_RUNNER_WAIT = "task_queue/daemon/runner_wait.py"
_ENDINGS = "task_queue/daemon/endings.py"
_REPAIRS = "task_queue/daemon/repairs.py"
_DURABLE = "task_queue/platform/durable.py"
_QUEUE = "task_queue/store/folder/queue.py"
MUTATIONS = (
    Mutation(
        "no fsync of files and directories",
        _DURABLE,
        "os.fsync(fd)",
        "pass",
        ("tests.proof.power_cut", "--first", "20", "--every", "5"),
    ),
    Mutation(
        "no fsync of directories",
        _DURABLE,
        "    try:\n        os.fsync(fd)\n    except OSError as error:",
        "    try:\n        pass\n    except OSError as error:",
        ("pytest", "tests/proof/test_order.py", "-q", "-x", "-k", "once"),
    ),
    Mutation(
        "unlock before the move",
        _QUEUE,
        _SETTLE,
        "".join(reversed(_SETTLE.splitlines(keepends=True))),
        ("tests.proof.crash_points", "--scenario", "once", "--actor", "daemon", "--first", "46"),
    ),
    Mutation(
        "the pid alone is trusted",
        "task_queue/platform/identity.py",
        "return found is not None and found.pid_start_ticks == identity.pid_start_ticks",
        "return found is not None",
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
        _RUNNER_WAIT,
        "if self._requests.cancel_requested(claim):\n                        outcome_if_killed",
        "if False:\n                        outcome_if_killed",
        _WAITING,
    ),
    Mutation(
        "a cancelled runner is not asked to end",
        _RUNNER_WAIT,
        "attempt.stop(Stop.CANCEL)",
        "pass",
        _WAITING,
    ),
    Mutation(
        "a cancelled runner has no time to end",
        _RUNNER_WAIT,
        "kill_at = now + CANCEL_GRACE_S",
        "kill_at = now",
        _WAITING,
    ),
    Mutation(
        "a stop is not seen",
        _RUNNER_WAIT,
        "elif self._stopping():",
        "elif False:",
        _WAITING,
    ),
    Mutation(
        "a stopped runner is not asked to end",
        _RUNNER_WAIT,
        "attempt.stop(Stop.SUSPEND)",
        "pass",
        _WAITING,
    ),
    Mutation(
        "a stopped runner has no time to end",
        _RUNNER_WAIT,
        "else now + self._timing().stop_grace_s",
        "else now",
        _WAITING,
    ),
    Mutation(
        "a stop now gives time",
        _RUNNER_WAIT,
        "kill_at = now if self._at_once() else now",
        "kill_at = now",
        _WAITING,
    ),
    Mutation(
        "a runner that outlives its time goes on",
        _RUNNER_WAIT,
        "elif overdue_at is not None and now >= overdue_at:",
        "elif False:",
        _WAITING,
    ),
    Mutation(
        "a runner that ignores its end goes on",
        _RUNNER_WAIT,
        "if outcome_if_killed is not None and kill_at is not None and now >= kill_at:",
        "if False:",
        _WAITING,
    ),
    Mutation(
        "a deadline waits for the sweep",
        _RUNNER_WAIT,
        "min([self._timing().sweep_s, *next_looks])",
        "self._timing().sweep_s",
        _WAITING,
    ),
    Mutation(
        "an answer does not open the account",
        _RUNNER_WAIT,
        "self._admission.account_works()",
        "pass",
        _WAITING,
    ),
    Mutation(
        "an account opens without an answer",
        _RUNNER_WAIT,
        "and progress_of(self._attempts.transcript(claim)).turns",
        "and True",
        _WAITING,
    ),
    Mutation(
        "the end of a killed agent is not looked for",
        _ENDINGS,
        "if is_unknown and self.commit_rebuilt(claim):",
        "if False:",
        _WAITING,
    ),
    Mutation(
        "what a dead runner left goes on",
        _REPAIRS,
        "return self._runners.sweep(marker)",
        "return 0",
        _WAITING,
    ),
    Mutation(
        "an adopted runner takes no place",
        _REPAIRS,
        "self._admission.count_in(self._source, task_id, self._tasks.may_spend(claim), task=as_it_waited)",
        "pass",
        _WAITING,
    ),
    Mutation(
        "front ends ignore the defaults",
        "task_queue/config/document.py",
        '        document.get("defaults"),\n        source.defaults,\n'
        '        executors=_section(document, "executors"),',
        '        executors=_section(document, "executors"),',
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
    Mutation(
        "what is to land is not proven",
        "task_queue/git/landing.py",
        "    wrong = request.prove(new)\n",
        "    wrong = None\n",
        ("pytest", "tests/git/test_landing.py", "-q", "-x", "-k", "proven"),
    ),
    Mutation(
        "a merge lands over an uncommitted change",
        "task_queue/git/landing.py",
        "    if held:\n",
        "    if False:\n",
        ("pytest", "tests/git/test_landing.py", "-q", "-x", "-k", "of_a_file_that_lands"),
    ),
    Mutation(
        "what set-up made stays no work once it was changed",
        "task_queue/git/made.py",
        " if path not in changed)\n    return frozenset(found)",
        ")\n    return frozenset(found)",
        (*_MADE, "-k", "later_change"),
    ),
    Mutation(
        "what set-up changed is committed with everything",
        "task_queue/git/made.py",
        "    return _made_here(git, git_dir).intersection(tracked) | gone\n",
        "    return frozenset()\n",
        (*_MADE, "-k", "commits_everything"),
    ),
    Mutation(
        "what a killed set-up made is work",
        "task_queue/git/made.py",
        "if record.running is not None and not identity.is_alive(record.running.runner):",
        "if False:",
        (*_MADE, "-k", "killed_command"),
    ),
    Mutation(
        "a secret that an agent committed and removed lands",
        "task_queue/git/unwanted.py",
        '    commits = git.read("rev-list", "--no-merges", tip, *apart).text\n',
        '    commits = git.read("rev-list", "--max-count=1", tip, *apart).text\n',
        _UNWANTED,
    ),
    Mutation(
        "a new large file is committed",
        "task_queue/git/unwanted.py",
        '            is_new=is_file and entry.change in ("untracked", "added"),\n',
        "            is_new=False,\n",
        _UNWANTED,
    ),
    Mutation(
        "a checkout goes with a file that is kept nowhere",
        "task_queue/git/put_away.py",
        "return left if is_same and not now.left_out else None",
        "return left if is_same else None",
        _PUT_AWAY,
    ),
    Mutation(
        "a checkout goes with files that differ from what is kept",
        "task_queue/git/put_away.py",
        "return left if is_same and not now.left_out else None",
        "return left if not now.left_out else None",
        _PUT_AWAY,
    ),
    Mutation(
        "work is brought back onto another commit",
        "task_queue/git/put_away.py",
        "    if state is None or state.head != head_of(there):\n",
        "    if state is None:\n",
        _PUT_AWAY,
    ),
    Mutation(
        "a ref that went back needs no person",
        "task_queue/git/owner_state.py",
        "if not is_ancestor(place.git, move.old, of=move.new)}",
        "if False}",
        _OWNER_STATE,
    ),
    Mutation(
        "changed hooks are not seen",
        "task_queue/git/owner_state.py",
        "        hooks=dict(_hooks(place)),\n",
        "        hooks={},\n",
        _OWNER_STATE,
    ),
    Mutation(
        "a dropped stash is not seen",
        "task_queue/git/owner_state.py",
        "        stash=tuple(stash),\n",
        "        stash=(),\n",
        _OWNER_STATE,
    ),
    Mutation(
        "one source's git keeps the others waiting",
        "task_queue/daemon/admission/shared.py",
        "        self.limits.look_at(source)\n        return self.enter_as_seen",
        "        with self._lock:\n            self.limits.look_at(source)\n        return self.enter_as_seen",
        ("pytest", "tests/daemon/test_admission.py", "-q", "-x", "-k", "hangs"),
    ),
    *ORDER,
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
    parser.add_argument("--only", action="append", choices=[mutation.name for mutation in MUTATIONS])
    parser.add_argument("--unbroken", action="store_true")
    options = parser.parse_args()
    wrong = 0
    wanted = [m for m in MUTATIONS if options.only is None or m.name in options.only]
    for mutation in wanted:
        noticed = is_noticed(mutation, unbroken=options.unbroken)
        wrong += noticed is options.unbroken
        print(f"{mutation.name}: {'noticed' if noticed else 'NOT noticed'}", flush=True)
    print(f"{len(wanted)} mutations, {len(wanted) - wrong} as expected")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
