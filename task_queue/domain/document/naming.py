"""File names: which are tasks, why others are not, and which files are beside a task.

Everything that builds a path from an id does it here, so an id that is not a plain file name never
becomes one.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta

from task_queue.domain.task import TaskId
from task_queue.domain.text import without_invisible

_SUFFIX = ".md"
_MAX_NAME_BYTES = 255
_MAX_COMPANION_BYTES = 200
_KEPT_BYTES = 180
MARK_LENGTH = 16
"""Of the zeros and ones that the name of a task's copy begins with: one pair of tasks in 65536 shares them."""
_COMPANIONS = (".lock", ".attempts.json", ".cancel")
_UNUSABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_TIME = re.compile(r"task-([0-9]{4})([0-9]{2})([0-9]{2})-([0-9]{2})([0-9]{2})([0-9]{2})(?![0-9])")
_JUST_THEN = timedelta(seconds=2)
_LITTER = re.compile(
    r"\.#.*|#.*#|.*~|\.?~.*|4913|.*___jb_(?:tmp|old)___"  # Emacs, many, Office and Syncthing, Vim, JetBrains
    r"|.*\.(?:sw[a-px]|swpx|kate-swp|bak|orig|save|tmp|temp)"
    r"|.*\.(?:part|partial|filepart|crdownload|opdownload|download|aria2|!ut)"
    r"|\..+\.md\.[A-Za-z0-9]{6}",  # rsync writes .name.XXXXXX
    re.DOTALL,
)
_REF_SAFE = re.compile(r"[^\x00-\x20\x7f~^:?*\[\\%@{]")
_DIGITS = re.compile(r"0*([0-9]+)")
_NUMBERED = re.compile(r"(?P<stem>.+)\.(?:[2-9]|[1-9][0-9]+)")


def why_not_a_task(name: str) -> str | None:
    """Why a file called *name* in ``pending/`` is not a task; None if it is one."""
    unusable = _UNUSABLE.search(name)
    if unusable:
        return "name contains a control character" if unusable[0] < "\ud800" else "name is not valid UTF-8"
    if "/" in name:
        return "name contains a slash"
    if name.startswith("task-") and name.endswith(_SUFFIX):
        return None if len(name) > len("task-" + _SUFFIX) else f"name has nothing between task- and {_SUFFIX}"
    if _LITTER.fullmatch(name):
        return "temporary file of an editor or a transfer"
    if is_private(name):
        return "hidden file"
    return (
        f"name does not end with {_SUFFIX}" if name.startswith("task-") else "name does not start with task-"
    )


def is_private(name: str) -> bool:
    """Hidden files (locks, journals, temporaries of any program) are neither tasks nor reported."""
    return name.startswith(".")


def is_task_id(text: str) -> bool:
    """Whether *text* may be used as a task id, and so in a path (at any length: ``key_of`` shortens it)."""
    return why_not_a_task(text + _SUFFIX) is None


def task_id_of(document: str) -> TaskId:
    """The id of the document called *document*, which must be a task's name."""
    return TaskId(document.removesuffix(_SUFFIX))


def document_of(task_id: TaskId) -> str:
    """File name of a document of *task_id*; a numbered id too long for a file name is shortened."""
    name = task_id + _SUFFIX
    return name if len(name.encode()) <= _MAX_NAME_BYTES else key_of(task_id) + _SUFFIX


def key_of(task_id: TaskId) -> str:
    """What a task's companion files and folders are named after: the id, shortened when it is very long."""
    if len(task_id) <= _MAX_COMPANION_BYTES // 4:  # at most four bytes each
        return task_id
    raw = task_id.encode()
    if len(raw) <= _MAX_COMPANION_BYTES:
        return task_id
    digest = hashlib.sha256(raw).hexdigest()[:8]
    return f"{raw[:_KEPT_BYTES].decode(errors='ignore')}-{digest}"


def copy_of(task_id: TaskId, *, source: str) -> str:
    """Name of the copy of a task's text that its agent reads; a few patterns describe all names but one."""
    number = int.from_bytes(hashlib.sha256(f"{source}/{task_id}".encode()).digest()[:2], "big")
    return f"{number:0{MARK_LENGTH}b}-{key_of(task_id)}{_SUFFIX}"


def key_of_copy(name: str) -> str:
    """The key of the task whose copy is named *name*."""
    return name[MARK_LENGTH + 1 :].removesuffix(_SUFFIX)


def lock_of(document: str) -> str:
    """Name of the lock beside *document*."""
    return f".{key_of(task_id_of(document))}.lock"


def is_lock_of(lock: str, document: str, task_id: TaskId) -> bool:
    """Whether a file called *lock* may claim *document* for *task_id*: all plain names, and its own."""
    plain = why_not_a_task(document) is None and is_task_id(task_id)
    return plain and lock_of(document) == lock


def journal_of(document: str) -> str:
    """Name of the history beside a *document* that will be tried again."""
    return f".{key_of(task_id_of(document))}.attempts.json"


def cancel_of(document: str) -> str:
    """Name of the request to cancel *document*."""
    return f".{key_of(task_id_of(document))}.cancel"


def document_beside(name: str) -> str | None:
    """The document that the file *name* of ``pending/`` is, or is a companion of; None if its name does not say it."""
    if why_not_a_task(name) is None:
        return name
    key = next((name[1 : -len(each)] for each in _COMPANIONS if name.endswith(each)), "")
    if not key.startswith("task-") or len(key.encode()) >= _KEPT_BYTES:
        return None
    return key + _SUFFIX


def result_of(task_id: TaskId) -> str:
    return f"{key_of(task_id)}.json"


def report_of(task_id: TaskId) -> str:
    return f"{key_of(task_id)}.md"


def numbered(task_id: TaskId, number: int) -> TaskId:
    """Id of the *number*-th record (2, 3, ...) of tasks dropped under the same name."""
    return TaskId(f"{task_id}.{number}")


def unnumbered(task_id: TaskId) -> TaskId:
    """The id that a record's document had when it was dropped, as far as its name shows."""
    match = _NUMBERED.fullmatch(task_id)
    return TaskId(match["stem"]) if match and is_task_id(match["stem"]) else task_id


def ref_part_of(task_id: TaskId) -> str:
    """*task_id* as one part of a git ref: what git-check-ref-format(1) forbids, or is not seen, is percent-encoded."""
    name = "".join(
        char
        if _REF_SAFE.fullmatch(char) and without_invisible(char) == char
        else "".join(f"%{byte:02X}" for byte in char.encode())
        for char in key_of(task_id)
    )
    if name.endswith((".", ".lock")) or ".." in name:
        name = name.replace(".", "%2E")
    if len(name.encode()) <= _MAX_COMPANION_BYTES:
        return name
    digest = hashlib.sha256(task_id.encode()).hexdigest()[:8]
    return f"{name.encode()[:_KEPT_BYTES].decode(errors='ignore').rstrip('.')}-{digest}"


def branch_of(task_id: TaskId) -> str:
    """The branch that an isolated task works on."""
    return f"task-queue/{ref_part_of(task_id)}"


def natural(name: str) -> str:
    """Sorts names so that ``task-2`` comes before ``task-10``; equal only for names that differ in leading zeros."""
    return _DIGITS.sub(lambda match: f"{len(match[1]):03}{match[1]}", name)


def dropped_at(document: str, *, written_at: datetime) -> datetime:
    """By the time in its name, else when it was written.

    Names have whole seconds: of what was written just then, it is known which came first.
    """
    named = time_in(document)
    if named is None or timedelta(0) <= written_at - named < _JUST_THEN:
        return written_at
    return named


def time_in(document: str) -> datetime | None:
    """The time that the recommended name carries (it is local there), None if there is no real one."""
    match = _TIME.match(document)
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in match.groups())
    try:
        # Not strptime: a folder may hold 100,000 names, and it is five times slower.
        return datetime(year, month, day, hour, minute, second).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None
