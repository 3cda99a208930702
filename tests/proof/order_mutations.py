"""Breakages of the order on disk: every sync, and every two steps whose order matters; noticed within seconds."""

from __future__ import annotations

from tests.proof.mutation import Mutation

_DURABLE = "task_queue/platform/durable.py"
_QUEUE = "task_queue/store/folder/queue.py"
_PROCESS = "task_queue/runner/process.py"


def _swapped(first: str, second: str) -> tuple[str, str]:
    return first + second, second + first


def _in_order(*scenarios: str) -> tuple[str, ...]:
    return ("pytest", "tests/proof/test_order.py", "-q", "-x", "-k", " or ".join(scenarios))


_SYNC_TARGET = "    sync_directory(target.parent)\n"
_SYNC_SOURCE = "    if source.parent != target.parent:\n        sync_directory(source.parent)\n"
_SNAPSHOT = "                durable.publish(attempt / SNAPSHOT, data[:MAX_BYTES])\n"
_LOCK = "                durable.publish(self._layout.lock(document), lock_bytes(claim))\n"
_NOTE = "                self._locks.note(claim)\n"
_RESULT = "            self._outputs.publish(claim, noted, report)\n"
_FILE = "            newer = self._documents.file(claim, result.state)\n"
_NO_JOURNAL = "            remove_file(self._layout, self._layout.journal(claim.document))\n"
_NO_CANCEL = "            remove_file(self._layout, self._layout.cancel(claim.document))\n"
_JOURNAL = "            replace_file(self._layout, self._layout.journal(claim.document), encode(journal))\n"
_UNLOCK = "            self._unlock(claim)\n"
_NEEDED = """        if result.attention:  # first, so that no crash leaves a result that readers would not find
            note_need(self._layout, claim.task_id)
        else:
            forget_need(self._layout, claim.task_id)
"""
_PUBLISHED = "        self._publish(claim, self._layout.result(claim.task_id), encode(result))\n"
_CLOSE = """    with contextlib.suppress(OSError):  # the transcript is evidence, the ending is the truth
        transcript.close()
"""
_COMMIT = "    _commit(log, order, outcome, work, started_at)\n"
_HISTORY = "            self._write(document, journal_of_retry(task_id, attempts, wish))\n"
_BACK = "            self._bring_back(task_id)\n"
_ASIDE = "        set_result_aside(self._layout, self._archive, task_id)\n"
_NO_NEED = """        # Before the document is back: the next settle may come at once, and adds its own.
        forget_need(self._layout, task_id)
"""
_MOVED_BACK = (
    "        durable.move(self._layout.ended(TaskState.FAILED) / document, self._layout.pending / document)\n"
)
_REPORT = (
    '    replace_file(layout, layout.report(result.task_id), report.encode("utf-8", "backslashreplace"))\n'
)
_AMENDED = "    replace_file(layout, layout.result(result.task_id), encode(result))\n"
_KEPT = "        newer = self.keep_newer(claim)\n"
_FILED = "        publish_once(target, self.snapshot(claim))\n"
ORDER = (
    Mutation(
        "data is not synced before its name",
        _DURABLE,
        "        if sync:\n            os.fsync(fd)\n",
        "",
        _in_order("once"),
    ),
    Mutation(
        "a published name is not synced",
        _DURABLE,
        "        temporary.unlink(missing_ok=True)\n    sync_directory(path.parent)\n",
        "        temporary.unlink(missing_ok=True)\n",
        _in_order("once"),
    ),
    Mutation(
        "a name that an earlier try published is not synced",
        "task_queue/store/folder/files.py",
        "    except FileExistsError:\n        durable.sync_directory(path.parent)\n",
        "    except FileExistsError:\n        pass\n",
        _in_order("named_before_a_kill"),
    ),
    Mutation(
        "a replaced file is not synced",
        _DURABLE,
        "        raise\n    if sync:\n        sync_directory(path.parent)\n",
        "        raise\n",
        _in_order("retry"),
    ),
    Mutation(
        "the new name of a moved file is not synced",
        _DURABLE,
        _SYNC_TARGET + _SYNC_SOURCE,
        _SYNC_SOURCE,
        _in_order("once"),
    ),
    Mutation(
        "the old name of a moved file is not synced",
        _DURABLE,
        _SYNC_TARGET + _SYNC_SOURCE,
        _SYNC_TARGET,
        _in_order("once"),
    ),
    Mutation(
        "the old name of a moved file is synced first",
        _DURABLE,
        *_swapped(_SYNC_TARGET, _SYNC_SOURCE),
        _in_order("once"),
    ),
    Mutation(
        "the removal of a name is not synced",
        _DURABLE,
        "        path.unlink()\n        sync_directory(path.parent)\n",
        "        path.unlink()\n",
        _in_order("once"),
    ),
    Mutation(
        "a new folder is not synced",
        _DURABLE,
        "    path.chmod(0o700)\n    sync_directory(path.parent)\n",
        "    path.chmod(0o700)\n",
        _in_order("once"),
    ),
    Mutation(
        "an appended line is not synced",
        _DURABLE,
        "        if sync:\n            os.fsync(fd)\n",
        "",
        _in_order("spent_or_done"),
    ),
    Mutation(
        "the transcript is not synced at its close",
        "task_queue/store/transcript.py",
        "            os.fsync(self._fd)\n",
        "            pass\n",
        _in_order("once"),
    ),
    Mutation(
        "the ending comes before the transcript is closed",
        _PROCESS,
        *_swapped(_CLOSE, _COMMIT),
        _in_order("once"),
    ),
    Mutation(
        "the lock comes before the snapshot",
        _QUEUE,
        _SNAPSHOT + _NOTE + _LOCK,
        _NOTE + _LOCK + _SNAPSHOT,
        _in_order("once"),
    ),
    Mutation(
        "the runner reads the lock before it shows itself",
        _PROCESS,
        "if not log.show(_own_record(order, started_at)) or not log.claim_stands():",
        "if not log.claim_stands() or not log.show(_own_record(order, started_at)):",
        _in_order("once"),
    ),
    Mutation(
        "the runner does not read the lock again",
        _PROCESS,
        "if not log.show(_own_record(order, started_at)) or not log.claim_stands():",
        "if not log.show(_own_record(order, started_at)):",
        ("pytest", "tests/daemon/test_runners.py", "-q", "-x", "-k", "given_back"),
    ),
    Mutation(
        "what needs a person is indexed after its result",
        "task_queue/store/folder/outputs.py",
        *_swapped(_NEEDED, _PUBLISHED),
        _in_order("rejected"),
    ),
    Mutation(
        "the result comes after the move",
        _QUEUE,
        *_swapped(_RESULT, _FILE),
        _in_order("once"),
    ),
    Mutation(
        "the journal goes before the move",
        _QUEUE,
        *_swapped(_FILE, _NO_JOURNAL),
        _in_order("retry"),
    ),
    Mutation(
        "unlock before the request to cancel is gone",
        _QUEUE,
        *_swapped(_NO_CANCEL, _UNLOCK),
        _in_order("cancel"),
    ),
    Mutation(
        "unlock before the journal",
        _QUEUE,
        _JOURNAL,
        _UNLOCK + _JOURNAL,
        _in_order("retry"),
    ),
    Mutation(
        "what ran is filed before the newer text is kept",
        "task_queue/store/folder/documents.py",
        *_swapped(_KEPT, _FILED),
        _in_order("edited"),
    ),
    Mutation(
        "a retried task's history comes after its document",
        "task_queue/store/folder/requeue.py",
        *_swapped(_HISTORY, _BACK),
        _in_order("requeue"),
    ),
    Mutation(
        "an earlier result stays until its document is back",
        "task_queue/store/folder/requeue.py",
        _ASIDE + _NO_NEED + _MOVED_BACK,
        _NO_NEED + _MOVED_BACK + _ASIDE,
        _in_order("requeue"),
    ),
    Mutation(
        "a new task is written where the worker looks",
        "task_queue/store/folder/intake.py",
        "        staged = layout.staging / document\n",
        '        staged = layout.pending / f"edited-{document}"\n',
        _in_order("a_person_asks_for"),
    ),
    Mutation(
        "an amended result comes before its report",
        "task_queue/store/folder/amending.py",
        *_swapped(_REPORT, _AMENDED),
        _in_order("amended"),
    ),
)
