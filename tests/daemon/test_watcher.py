"""The watcher against real folders, real mounts and the kernel's real limits."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from task_queue.daemon.watcher import Watcher
from task_queue.domain.events import Event, WatchDegraded, WatchRestored
from task_queue.platform.mounts import Mount
from tests.waiting import eventually, within

HEAL_S = 5.0


class Ear:
    """Counts notifications per source, and can be told to forget them."""

    def __init__(self) -> None:
        self.heard: Counter[str] = Counter()
        self.told: list[tuple[str | None, bool]] = []
        self.events: list[Event] = []
        self.gate = threading.Event()
        self.gate.set()

    def notify(self, source_id: str, name: str | None = None, arrived: bool = False) -> None:
        self.heard[source_id] += 1
        self.told.append((name, arrived))
        if threading.current_thread() is not threading.main_thread():
            self.gate.wait(30)

    def hears(self, source: str, act: Callable[[], object]) -> bool:
        """Whether *source* is notified because of *act*."""
        before = self.heard[source]
        act()
        return eventually(lambda: self.heard[source] > before, timeout=30, what=f"{source} was notified")


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
def watcher(ear: Ear) -> Iterator[Watcher]:
    watcher = Watcher(ear.notify, ear.events.append)
    yield watcher
    ear.gate.set()
    watcher.close()


@pytest.fixture
def pending(tmp_path: Path) -> Path:
    pending = tmp_path / "web" / "pending"
    pending.mkdir(parents=True)
    return pending


def drop(folder: Path, name: str = "task-a.md") -> Path:
    path = folder / name
    path.write_text("do it")
    return path


def settle(ear: Ear) -> None:
    """Wait until nothing has been heard for a tenth of a second."""
    seen = (-1, 0.0)

    def quiet() -> bool:
        nonlocal seen
        total, now = ear.heard.total(), time.monotonic()
        if total != seen[0]:
            seen = (total, now)
        return now - seen[1] > 0.1

    eventually(quiet)


def hears_after_checks(watcher: Watcher, ear: Ear, source: str, folder: Path) -> None:
    """New files in *folder* are told of, at the latest once the checks of five seconds have run."""
    numbers = iter(range(1_000_000))

    def heard() -> bool:
        watcher.check()
        settle(ear)
        before = ear.heard[source]
        drop(folder, f"task-after-{next(numbers)}.md")
        return within(0.3, lambda: ear.heard[source] > before)

    eventually(heard, timeout=HEAL_S, what="the watch was healed")


def test_watching_asks_for_a_first_look(watcher: Watcher, ear: Ear, pending: Path) -> None:
    """What lay there before the watch was armed is found by the look that follows it."""
    watcher.watch("web", pending)

    assert ear.heard["web"] >= 1
    assert watcher.degraded() == {}


@pytest.mark.parametrize("how", ["write", "rename", "link", "delete", "move out", "chmod", "cancel"])
def test_what_matters_is_told(watcher: Watcher, ear: Ear, pending: Path, how: str) -> None:
    """Every way in which a document or a cancel comes, changes or goes wakes the worker."""
    staged = drop(pending.parent, "staged")
    present = drop(pending, "task-present.md")
    watcher.watch("web", pending)
    settle(ear)
    acts: dict[str, Callable[[], object]] = {
        "write": lambda: drop(pending),
        "rename": lambda: staged.rename(pending / "task-a.md"),
        "link": lambda: os.link(staged, pending / "task-a.md"),
        "delete": present.unlink,
        "move out": lambda: present.rename(pending.parent / "gone"),
        "chmod": lambda: present.chmod(0o640),
        "cancel": lambda: drop(pending, ".task-a.cancel"),
    }

    assert ear.hears("web", acts[how])


def test_a_document_is_told_by_name_and_how_it_came(watcher: Watcher, ear: Ear, pending: Path) -> None:
    """One that came by rename is complete at once; one that is written may not be."""
    staged = drop(pending.parent, "staged")
    watcher.watch("web", pending)
    settle(ear)
    ear.told.clear()

    staged.rename(pending / "task-renamed.md")
    drop(pending, "task-written.md")
    settle(ear)

    assert ear.told[0] == ("task-renamed.md", True)
    assert set(ear.told[1:]) == {("task-written.md", False)}


def test_locks_and_temporaries_are_not_told(watcher: Watcher, ear: Ear, pending: Path) -> None:
    """A worker is not woken by its own doing."""
    watcher.watch("web", pending)
    settle(ear)
    before = ear.heard["web"]

    for name in (".task-a.lock", ".task-a.attempts.json", ".tmp-1234", ".probe-elsewhere"):
        drop(pending, name).unlink()
    settle(ear)

    assert ear.heard["web"] == before


def test_only_the_source_in_question_is_told(watcher: Watcher, ear: Ear, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name / "pending").mkdir(parents=True)
        watcher.watch(name, tmp_path / name / "pending")
    settle(ear)
    before = ear.heard["b"]

    assert ear.hears("a", lambda: drop(tmp_path / "a" / "pending"))
    settle(ear)

    assert ear.heard["b"] == before


def test_a_notification_takes_milliseconds(watcher: Watcher, pending: Path) -> None:
    """The median over 50 renames stays below 50 ms even on a busy machine (about 0.3 ms on an idle one)."""
    told = threading.Event()
    quick = Watcher(lambda *_about, **_named: told.set(), lambda _event: None)
    quick.watch("web", pending)
    delays: list[float] = []
    for number in range(50):
        staged = drop(pending.parent, f"s{number}")
        told.clear()
        start = time.perf_counter()
        staged.rename(pending / f"task-{number}.md")
        assert told.wait(10)
        delays.append(time.perf_counter() - start)
    quick.close()

    assert sorted(delays)[25] < 0.050


def test_a_pending_folder_created_later_is_watched(watcher: Watcher, ear: Ear, tmp_path: Path) -> None:
    queue = tmp_path / "web"
    queue.mkdir()
    watcher.watch("web", queue / "pending")

    assert ear.hears("web", (queue / "pending").mkdir)
    settle(ear)
    assert ear.hears("web", lambda: drop(queue / "pending"))


def test_a_queue_folder_created_later_is_watched(watcher: Watcher, ear: Ear, tmp_path: Path) -> None:
    watcher.watch("web", tmp_path / "web" / "pending")
    (tmp_path / "web" / "pending").mkdir(parents=True)

    hears_after_checks(watcher, ear, "web", tmp_path / "web" / "pending")


@pytest.mark.parametrize("times", [1, 20])
def test_a_pending_folder_made_anew_is_watched_at_once(
    watcher: Watcher, ear: Ear, pending: Path, times: int
) -> None:
    """Deleted and created again, even where the new folder gets the old one's inode number."""
    watcher.watch("web", pending)
    for _ in range(times):
        eventually(partial(removed, pending))
        pending.mkdir()
    settle(ear)

    assert ear.hears("web", lambda: drop(pending))


def test_a_replaced_pending_folder_is_watched_at_once(watcher: Watcher, ear: Ear, pending: Path) -> None:
    """Renamed away, with another one renamed into its place; the old one is not listened to any more."""
    watcher.watch("web", pending)
    fresh, old = pending.with_name("fresh"), pending.with_name("old")
    fresh.mkdir()
    pending.rename(old)
    fresh.rename(pending)
    settle(ear)
    before = ear.heard["web"]
    drop(old)
    settle(ear)

    assert ear.heard["web"] == before
    assert ear.hears("web", lambda: drop(pending))


def test_a_replaced_queue_folder_is_healed(watcher: Watcher, ear: Ear, pending: Path) -> None:
    watcher.watch("web", pending)
    pending.parent.rename(pending.parent.with_name("old"))
    pending.mkdir(parents=True)

    hears_after_checks(watcher, ear, "web", pending)


def test_a_symlink_that_points_elsewhere_is_followed(watcher: Watcher, ear: Ear, tmp_path: Path) -> None:
    """A symlink further up changes without any event in the watched folders."""
    for name in ("one", "two"):
        (tmp_path / name / "web" / "pending").mkdir(parents=True)
    current = tmp_path / "current"
    current.symlink_to("one")
    watcher.watch("web", current / "web" / "pending")
    current.unlink()
    current.symlink_to("two")

    hears_after_checks(watcher, ear, "web", tmp_path / "two" / "web" / "pending")


def test_a_missing_pending_folder_degrades_and_recovers(watcher: Watcher, ear: Ear, pending: Path) -> None:
    """Three failed checks, then one event that says so, and one when it is good again."""
    pending.rmdir()
    watcher.watch("web", pending)
    watcher.check()
    assert watcher.degraded() == {}
    watcher.check()
    watcher.check()

    assert watcher.degraded() == {"web": f"{pending}: No such file or directory"}
    pending.mkdir()
    eventually(lambda: not degraded_after_check(watcher), timeout=HEAL_S)
    assert [type(event) for event in ear.events] == [WatchDegraded, WatchRestored]


def test_an_unwatched_source_is_not_told(watcher: Watcher, ear: Ear, pending: Path) -> None:
    watcher.watch("web", pending)
    watcher.unwatch("web")
    settle(ear)
    before = ear.heard["web"]
    drop(pending)
    settle(ear)

    assert ear.heard["web"] == before


def test_two_sources_of_which_one_lies_in_the_other(watcher: Watcher, ear: Ear, pending: Path) -> None:
    """One folder is one source's pending and the other's queue folder: one kernel watch, two meanings."""
    inner = pending / "pending"
    inner.mkdir()
    watcher.watch("inner", inner)
    watcher.watch("outer", pending)
    settle(ear)

    assert ear.hears("outer", lambda: drop(pending))
    assert ear.hears("inner", lambda: drop(inner))
    watcher.unwatch("inner")
    assert ear.hears("outer", lambda: drop(pending, "task-b.md"))


def test_a_thread_that_died_is_replaced(ear: Ear, pending: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect in a callback ends the thread once, not the watching."""
    monkeypatch.setattr(threading, "excepthook", lambda _args: None)
    broken = threading.Event()

    def notify(source_id: str, name: str | None = None, arrived: bool = False) -> None:
        if broken.is_set():
            broken.clear()
            raise RuntimeError("defect")
        ear.notify(source_id)

    watcher = Watcher(notify, ear.events.append)
    watcher.watch("web", pending)
    settle(ear)
    broken.set()
    drop(pending)
    eventually(lambda: not broken.is_set())

    hears_after_checks(watcher, ear, "web", pending)
    assert open_instances() == 1
    watcher.close()


def test_an_overflow_tells_every_source(watcher: Watcher, ear: Ear, tmp_path: Path) -> None:
    """Events were lost, so every source is looked at, and every watch is tried out."""
    for name in ("a", "b"):
        (tmp_path / name / "pending").mkdir(parents=True)
        watcher.watch(name, tmp_path / name / "pending")
    settle(ear)
    before = ear.heard["b"]
    queue_length = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    ear.gate.clear()
    noisy = tmp_path / "a" / "pending"
    for number in range(queue_length // 2 + 4000):
        (noisy / f"task-{number}.md").touch()
    ear.gate.set()

    eventually(lambda: ear.heard["b"] > before, what="the quiet source was told")
    settle(ear)
    hears_after_checks(watcher, ear, "b", tmp_path / "b" / "pending")
    assert watcher.degraded() == {}


def test_unheard_probes_degrade_until_they_are_heard(watcher: Watcher, ear: Ear, pending: Path) -> None:
    """A watch that looks armed but tells nothing is replaced three times, then left to the sweep."""
    watcher.watch("web", pending)
    settle(ear)
    ear.gate.clear()
    drop(pending)
    eventually(lambda: ear.heard["web"] > 1)  # the watcher's thread is stuck from here on
    pending.rename(pending.with_name("old"))
    pending.mkdir()

    eventually(lambda: degraded_after_check(watcher))
    assert watcher.degraded() == {"web": f"{pending}: changes there cause no events"}
    ear.gate.set()
    eventually(lambda: not degraded_after_check(watcher), timeout=HEAL_S)
    assert [type(event) for event in ear.events] == [WatchDegraded, WatchRestored]
    assert list(pending.iterdir()) == []


def test_a_disk_that_fails_under_a_probe_is_not_the_watchs_fault(
    watcher: Watcher, ear: Ear, pending: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is raised, nothing degrades, events go on; what is left has a name that the engine sweeps."""

    def fail(path: Path, missing_ok: bool = False) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    with monkeypatch.context() as sick:
        sick.setattr(Path, "unlink", fail)  # no disk can be had that fails at just this call
        watcher.watch("web", pending)
        watcher.check()

    assert ear.hears("web", lambda: drop(pending))
    assert watcher.degraded() == {}
    left = [path.name for path in pending.glob(".*")]
    assert left
    assert all(name.startswith(f".tq-{os.getpid()}-") for name in left)


def test_500_sources_use_one_instance_and_one_thread(watcher: Watcher, ear: Ear, tmp_path: Path) -> None:
    threads = threading.active_count()
    for number in range(500):
        folder = tmp_path / f"q{number}" / "pending"
        folder.mkdir(parents=True)
        watcher.watch(f"q{number}", folder)
    settle(ear)

    assert open_instances() == 1
    assert threading.active_count() == threads + 1
    start = time.process_time()
    watcher.check()
    assert time.process_time() - start < 0.5
    assert watcher.degraded() == {}
    for number in (0, 250, 499):
        assert ear.hears(f"q{number}", partial(drop, tmp_path / f"q{number}" / "pending"))


def test_closing_gives_everything_back(pending: Path) -> None:
    before = sorted(Path("/proc/self/fd").iterdir())
    watcher = Watcher(lambda *_about, **_named: None, lambda _event: None)
    watcher.watch("web", pending)
    watcher.close()
    watcher.close()

    assert sorted(Path("/proc/self/fd").iterdir()) == before
    assert open_instances() == 0


def test_children_do_not_inherit_the_instance(watcher: Watcher, pending: Path) -> None:
    """A runner outlives the daemon and must not keep its watches alive."""
    watcher.watch("web", pending)
    script = "ls -l /proc/self/fd"
    listing = subprocess.run(
        ["sh", "-c", script], close_fds=False, capture_output=True, text=True, check=True
    )

    assert "inotify" not in listing.stdout


def test_no_instance_left_is_told_and_not_raised(tmp_path: Path) -> None:
    """The message names the setting; the sources are served by the sweep."""
    said = in_own_limits(tmp_path, "max_inotify_instances", 0, sources=2)

    assert said.count("no inotify instance is left; raise fs.inotify.max_user_instances") == 2


def test_no_watch_left_degrades_only_the_rest(tmp_path: Path) -> None:
    """Five watches serve two sources with both folders; the third is left to the sweep."""
    said = in_own_limits(tmp_path, "max_inotify_watches", 5, sources=3)

    assert said.count("no inotify watch is left; raise fs.inotify.max_user_watches") == 1
    assert "degraded: ['q2']" in said


def test_a_pending_folder_mounted_over_and_unmounted_is_healed(tmp_path: Path) -> None:
    """Nothing tells of a mount on top; what lies below becomes visible again later."""
    said = in_own_mounts(
        tmp_path,
        """
        watcher.watch("web", pending)
        sh("mount", "-t", "tmpfs", "none", pending)
        says("mounted over")
        sh("umount", pending)
        says("unmounted")
        """,
    )

    assert said == "mounted over: healed\nunmounted: healed\n"


def test_a_network_file_system_is_left_to_the_sweep(ear: Ear, pending: Path) -> None:
    """Changes made on another machine cause no events here, and asking the folder may block for ever."""
    table = (Mount("/", "ext4"), Mount(str(pending), "nfs4"))
    with closing(Watcher(ear.notify, ear.events.append, mounted=lambda: table)) as watcher:
        watcher.watch("web", pending)

        assert watcher.degraded() == {"web": f"{pending}: is on a network file system (nfs4)"}
    assert [type(event) for event in ear.events] == [WatchDegraded]


def removed(folder: Path) -> bool:
    """Try it once; another thread may write there meanwhile."""
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()


def degraded_after_check(watcher: Watcher) -> Mapping[str, str]:
    watcher.check()
    return watcher.degraded()


def open_instances() -> int:
    """How many inotify instances this process has open."""
    links = []
    for fd in Path("/proc/self/fd").iterdir():
        try:
            links.append(str(fd.readlink()))
        except FileNotFoundError:
            continue  # the descriptor of the listing itself
    return sum("inotify" in link for link in links)


IN_A_CHILD = """
import subprocess
from pathlib import Path
from task_queue.daemon.watcher import Watcher
from task_queue.platform.mounts import Mount
from tests.waiting import within
"""


def in_own_limits(tmp_path: Path, limit: str, value: int, *, sources: int) -> str:
    """What a process says that watches *sources* sources in a user namespace with its own limit."""
    script = f"""{IN_A_CHILD}
Path("/proc/sys/user/{limit}").write_text("{value}")
watcher = Watcher(lambda *about: None, lambda event: print(event.why))
for number in range({sources}):
    folder = Path({str(tmp_path)!r}) / f"q{{number}}" / "pending"
    folder.mkdir(parents=True)
    watcher.watch(f"q{{number}}", folder)
watcher.check()
print("degraded:", sorted(watcher.degraded()))
watcher.close()
"""
    return run_apart(["unshare", "-Ur"], script)


def in_own_mounts(tmp_path: Path, steps: str) -> str:
    """What a process prints that runs *steps* where it may mount."""
    body = "\n".join(line.strip() for line in steps.strip().splitlines())
    script = f"""{IN_A_CHILD}
pending = Path({str(tmp_path)!r}) / "web" / "pending"
pending.mkdir(parents=True)
heard = []
watcher = Watcher(lambda *about: heard.append(about), print)
sh = lambda *argv: subprocess.run([str(a) for a in argv], check=True)

def says(what):
    numbers = iter(range(1_000_000))

    def heard_of_a_file():
        watcher.check()
        name = f"task-{{next(numbers)}}.md"
        (pending / name).touch()
        return within(0.2, lambda: any(name in about for about in heard))

    print(what + (": healed" if within({HEAL_S}, heard_of_a_file) else ": not healed"))

{body}
watcher.close()
"""
    return run_apart(["unshare", "-Urm"], script)


def run_apart(unshare: list[str], script: str) -> str:
    try:
        subprocess.run([*unshare, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no user namespaces here: {error}")
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [*unshare, sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(root), "PATH": os.environ["PATH"]},
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
