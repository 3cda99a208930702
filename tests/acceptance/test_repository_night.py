"""A night in fast motion in one repository with tests of its own: tasks that merge cleanly and do not fit.

``NIGHT`` is the whole story: what each task does, what it does when it is sent back, and where its commits are in
the morning. Meanwhile the owner commits by hand, and leaves files uncommitted.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from task_queue.demo.scripted_model import Reply, Request, Say
from tests.acceptance.agents import AgentRig, bash
from tests.acceptance.audits import audited, audits, git, just_ran, verdict
from tests.acceptance.conftest import MakeAgentRig
from tests.waiting import eventually

DAWN_S = 300
"""For a loaded machine; an idle one with two cores needs a third of it."""
MEET_S = 200
"""How long a task waits for one that it meets."""
CHECK = "python3 -B -m unittest -q"
ROWS = int(os.environ.get("TASK_QUEUE_NIGHT_ROWS", "7"))
"""At least 4. With more than 7, the story goes on with tasks that get in each other's way by twos."""

FILES = {
    "shop/__init__.py": "",
    "shop/cart.py": "def total(prices):\n    return sum(prices)\n",
    "shop/rates.py": "TAX = 20\n\n\n\n\nFEE = 1\n",
    "shop/legacy.py": "def old():\n    return 'old'\n",
    "shop/words.py": "def slug(text):\n    return text.lower().replace(' ', '-')\n",
    "shop/version.py": "VERSION = '1'\n",
    "shop/plugins/__init__.py": "",
    "shop/shelf/limit": "2\n",
    "README.md": "A shop.\n",
    "tests/__init__.py": "",
    "tests/test_cart.py": "import unittest\nfrom shop import cart\n\nclass T(unittest.TestCase):\n"
    "    def test(self):\n        self.assertEqual(cart.total([1, 2]), 3)\n",
    "tests/test_rates.py": "import unittest\nfrom shop import rates\n\nclass T(unittest.TestCase):\n"
    "    def test(self):\n        self.assertGreater(rates.TAX, rates.FEE)\n",
    "tests/test_legacy.py": "import unittest\nfrom shop import legacy\n\nclass T(unittest.TestCase):\n"
    "    def test(self):\n        self.assertEqual(legacy.old(), 'old')\n",
    "tests/test_plugins.py": "import unittest, pathlib\n\nclass T(unittest.TestCase):\n    def test(self):\n"
    "        names = [path.read_text() for path in pathlib.Path('shop/plugins').glob('*.py') if path.stat().st_size]\n"
    "        self.assertEqual(len(names), len(set(names)), 'two plugins have one name')\n",
    "tests/test_shelf.py": "import unittest, pathlib\n\nclass T(unittest.TestCase):\n    def test(self):\n"
    "        shelf = pathlib.Path('shop/shelf')\n"
    "        self.assertLessEqual(len(list(shelf.glob('*.item'))), int((shelf / 'limit').read_text()), 'full')\n",
}


def a_test(name: str, module: str, expression: str) -> str:
    """A command that writes a test of the package: *expression* holds."""
    lines = (
        "import unittest",
        f"from shop import {module}",
        "class T(unittest.TestCase):",
        "    def test(self):",
        f"        self.assertTrue({expression})",
    )
    return f"printf '%s\\n' {' '.join(_quoted(line) for line in lines)} > tests/test_{name}.py"


def _quoted(line: str) -> str:
    return "'" + line.replace("'", "'\\''") + "'"


def a_module(name: str, body: str) -> str:
    return f"printf '%s\\n' {_quoted(body)} > shop/{name}.py"


@dataclass(frozen=True, slots=True)
class Night:
    """One task of it."""

    work: str
    mend: str = "true"
    """What it does when the checks fail on the merge."""
    meets: tuple[str, ...] = ()
    """Others, which all work before one of them ends, so that each begins without the work of the others."""
    ends: tuple[str, ...] = ("landed",)
    """``landed``, ``conflict``, ``failed``: those that are possible, because the order of landings is not given."""
    keys: tuple[tuple[str, object], ...] = ()


RENAME_TOTAL = "sed -i s/total/grand_total/ shop/cart.py tests/test_cart.py"
ITEM = "echo item > shop/shelf/{}.item"
MORE_ROOM = "echo 3 > shop/shelf/limit"

STORY: Mapping[str, Night] = {
    # a function is renamed while another task calls it by its old name
    "a1": Night(RENAME_TOTAL, mend="sed -i s/cart.total/cart.grand_total/ shop/receipt.py", meets=("b1",)),
    "b1": Night(
        f"{a_module('receipt', 'from shop import cart; owed = cart.total([1, 2])')};"
        f" {a_test('receipt', 'receipt', 'receipt.owed == 3')}",
        mend="sed -i s/cart.total/cart.grand_total/ shop/receipt.py",
        meets=("a1",),
    ),
    "c1": Night(
        f"{a_module('one', 'ONE = 1')}; {a_test('one', 'one', 'one.ONE == 1')}",
        keys=(("workflow", "audited"),),
    ),
    # a constant is changed by the owner, and by another task
    "a2": Night(
        a_test("fee", "rates", "rates.FEE == 1"),
        mend=a_test("fee", "rates", "rates.FEE == 2"),
        meets=("owner",),
    ),
    "b2": Night("sed -i 's/TAX = 20/TAX = 25/' shop/rates.py", mend="rm tests/test_tax.py", meets=("c2",)),
    "c2": Night(
        a_test("tax", "rates", "rates.TAX == 20"),
        mend=a_test("tax", "rates", "rates.TAX == 25"),
        meets=("b2",),
    ),
    # what cannot be mended does not land
    "a3": Night("sed -i s/slug/as_slug/ shop/words.py", meets=("b3",), ends=("landed", "failed")),
    "b3": Night(
        a_test("words", "words", "words.slug('A b') == 'a-b'"), meets=("a3",), ends=("landed", "failed")
    ),
    # the same line
    "a4": Night("sed -i s/1/2/ shop/version.py", meets=("b4",), ends=("landed", "conflict")),
    "b4": Night("sed -i s/1/3/ shop/version.py", meets=("a4",), ends=("landed", "conflict")),
    "c4": Night("mkdir notes; echo note > notes/c4", keys=(("workflow", "audited"),)),
    # a module goes that another task begins to use
    "a5": Night(
        "git rm -q shop/legacy.py tests/test_legacy.py",
        mend="git rm -q shop/newer.py tests/test_newer.py",
        meets=("c5",),
    ),
    "b5": Night("mkdir -p notes; echo note > notes/b5"),
    "c5": Night(
        f"{a_module('newer', 'from shop import legacy; new = legacy.old()')}; {a_test('newer', 'newer', 'newer.new')}",
        mend=a_module("newer", "new = 1"),
        meets=("a5",),
    ),
    # any two fit, three do not
    "a6": Night(ITEM.format("a"), mend=MORE_ROOM, meets=("b6", "c6")),
    "b6": Night(ITEM.format("b"), mend=MORE_ROOM, meets=("a6", "c6")),
    "c6": Night(ITEM.format("c"), mend=MORE_ROOM, meets=("a6", "b6")),
    # two entries with one name
    "a7": Night(
        "echo export > shop/plugins/left.py", mend="echo export_left > shop/plugins/left.py", meets=("c7",)
    ),
    "b7": Night("echo more >> shop/plugins/more.py; git add -A; git commit -qm 'By the agent itself'"),
    "c7": Night(
        "echo export > shop/plugins/right.py", mend="echo export_right > shop/plugins/right.py", meets=("a7",)
    ),
}


def story(rows: int) -> dict[str, Night]:
    told = {name: task for name, task in STORY.items() if int(name[1:]) <= rows}
    for row in range(8, rows + 1):
        name = f"export_{row}"
        for one, other in (("a", "b"), ("b", "a")):
            told[f"{one}{row}"] = Night(
                f"echo {name} > shop/plugins/{one}{row}.py",
                mend=f"echo {name}_{one} > shop/plugins/{one}{row}.py",
                meets=(f"{other}{row}",),
            )
        told[f"c{row}"] = Night(f"mkdir -p notes; echo note > notes/c{row}")
    return told


NIGHT = story(ROWS)


class Workers:
    """Does what the story says, and writes down each round of each task."""

    def __init__(self) -> None:
        self.home = Path()
        self.sent_back: dict[str, str] = {}

    def __call__(self, request: Request) -> Reply:
        if audits(request):
            return verdict("pass") if request.turn == 1 else Say("done")
        if just_ran(request):
            return Say("done")
        asked = re.search(r"^# Do (\w+) now", request.first_text, re.MULTILINE)
        assert asked is not None, request.first_text
        name = asked[1]
        task = NIGHT[name]
        if "does not count as done yet" in request.last_text:
            self.sent_back[name] = request.last_text
            return bash(f"echo {name} mends >> {self.home}/rounds; {task.mend}")
        here = f"touch {self.home}/{name}.there"
        waits = "; ".join(self._meet(other) for other in task.meets)
        return bash(
            f"echo {name} works >> {self.home}/rounds; {here}; {waits or ':'}; {task.work}", timeout_s=DAWN_S
        )

    def _meet(self, other: str) -> str:
        there = f"{self.home}/{other}.there"
        return (
            f"i=0; while [ ! -e {there} ] && [ $i -lt {10 * MEET_S} ]; do sleep 0.1; i=$((i+1)); done;"
            f" [ -e {there} ] || echo {other} >> {self.home}/missed"
        )


class Owner:
    """The person whose repository it is."""

    def __init__(self, rig: AgentRig) -> None:
        self.home = rig.home
        self.repository = rig.workspace
        (rig.home / ".gitconfig").write_text(
            "[user]\n\tname = Test\n\temail = test@example.org\n[init]\n\tdefaultBranch = main\n"
        )
        git(self.repository, "init", "-q")
        for name, text in FILES.items():
            path = self.repository / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        git(self.repository, "add", ".")
        git(self.repository, "commit", "-qm", "First")
        git(self.repository, "tag", "-am", "Version 1", "v1")
        git(self.repository, "branch", "topic")
        git(self.repository, "config", "alias.shown", "show --stat")
        (self.repository / "README.md").write_text("A shop.\nput away\n")
        git(self.repository, "stash", "-q")
        hook = self.repository / ".git/hooks/pre-commit"
        hook.write_text("#!/bin/sh\ngit diff --cached --check\n")
        hook.chmod(0o755)
        (self.repository / "README.md").write_text("A shop.\nnot committed yet\n")
        (self.repository / "draft.txt").write_text("mine\n")
        self.first = git(self.repository, "rev-parse", "HEAD")

    def commits(self) -> None:
        """While tasks work: once a change that one of them does not expect, later a harmless one."""
        eventually((self.home / "a2.there").exists, timeout=DAWN_S, what="a2 works")
        rates = self.repository / "shop/rates.py"
        self._commit(
            "shop/rates.py", lambda: rates.write_text(rates.read_text().replace("FEE = 1", "FEE = 2"))
        )
        (self.home / "owner.there").touch()
        eventually((self.home / "b4.there").exists, timeout=DAWN_S, what="b4 works")
        self._commit("mine.txt", lambda: (self.repository / "mine.txt").write_text("mine\n"))

    def _commit(self, name: str, change: Callable[[], object]) -> None:
        """As a person, who tries again where the queue's own step has git's lock."""
        change()

        def done() -> bool:
            try:
                git(self.repository, "add", name)
                git(self.repository, "commit", "-qm", f"By hand: {name}", "--", name)
            except subprocess.CalledProcessError as error:
                if "index.lock" not in error.stderr:
                    raise AssertionError(error.stderr) from error
                return False
            return True

        eventually(done, what=f"the owner commits {name}")

    def state(self) -> dict[str, object]:
        """All that no task may change, byte for byte."""
        own = self.repository / ".git"
        return {
            "refs": [
                line
                for line in git(self.repository, "for-each-ref").splitlines()
                if not line.split("\t")[1].startswith(
                    ("refs/heads/task-queue/", "refs/task-queue/", "refs/heads/main")
                )
            ],
            "head": (own / "HEAD").read_bytes(),
            "config": (own / "config").read_bytes(),
            "hooks": {
                path.name: (path.read_bytes(), path.stat().st_mode) for path in (own / "hooks").iterdir()
            },
            "stash": git(self.repository, "stash", "list", "--format=%H %gd %s"),
            "status": git(self.repository, "status", "--porcelain"),
            "draft": (self.repository / "draft.txt").read_bytes(),
            "readme": (self.repository / "README.md").read_bytes(),
            "worktrees": git(self.repository, "worktree", "list", "--porcelain").splitlines()[0],
        }


@contextmanager
def working(owner: Owner) -> Iterator[None]:
    """The owner commits meanwhile; an error there is an error of the test."""
    with ThreadPoolExecutor(1) as pool:
        work = pool.submit(owner.commits)
        yield
        work.result()


def is_in(repository: Path, commit: str, branch: str) -> bool:
    answer = subprocess.run(
        ["git", "merge-base", "--is-ancestor", commit, branch],
        cwd=repository,
        capture_output=True,
        check=False,
    )
    assert answer.returncode in {0, 1}, answer.stderr
    return answer.returncode == 0


def end_of(repository: Path, result: dict[str, Any]) -> str:
    """``landed``, ``conflict`` or ``failed``, once all that the result says of its commits is found to be so."""
    name, branch, commits = result["task_id"], result["branch"], result["commits"]
    assert commits, name
    in_main = [is_in(repository, commit, "main") for commit in commits]
    state = result["landing"]["state"]
    if state == "landed":
        assert all(in_main), name
        assert result["landed"].startswith(f"{branch} is in main ("), name
        assert (result["outcome"], result["keep"]) == ("succeeded", []), name
        assert {each["kind"] for each in result["attention"]} <= {"changed_judges"}, name
        assert result["undo"] == [f"task-queue tasks undo {name}"], name
        return "landed"
    assert not any(in_main), name
    assert all(is_in(repository, commit, branch) for commit in commits), name
    assert result["keep"] == [f"git -C {repository} merge {branch}"], name
    if state == "waiting":
        assert result["outcome"] == "succeeded", name
        assert result["landed"] == f"{branch} was not merged: it conflicts with main in shop/version.py", name
        return "conflict"
    assert (state, result["outcome"], result["landed"]) == ("left", "verify_failed", None), name
    return "failed"


def fails_at(repository: Path, commits: list[str], folder: Path) -> list[str]:
    """Those of *commits* whose own tests fail."""
    git(repository, "clone", "-q", "--no-checkout", str(repository), str(folder))
    failed = []
    for commit in commits:
        git(folder, "checkout", "-q", "--detach", commit)
        ran = subprocess.run(
            CHECK.split(),
            cwd=folder,
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode != 0:
            failed.append(f"{commit}: {ran.stderr}")
    return failed


def test_a_night_in_a_repository_with_tests(make_agent_rig: MakeAgentRig, tmp_path: Path) -> None:
    workers = Workers()
    settings = audited(
        isolation="worktree", landing="merge", verify=[CHECK], max_iterations=2, workflow="single"
    )
    rig = make_agent_rig(workers, sources=("a", "b", "c"), sweep_seconds=1, **settings)
    workers.home = rig.home
    owner = Owner(rig)
    repository, before = owner.repository, owner.state()
    rig.start()
    with working(owner):
        for name, task in sorted(NIGHT.items(), key=lambda item: (int(item[0][1:]), item[0])):
            rig.ask(
                f"task-{name[0]}-{int(name[1:]):02}", f"# Do {name} now", source=name[0], **dict(task.keys)
            )
        results = {
            name: rig.result(f"task-{name[0]}-{int(name[1:]):02}", source=name[0], timeout=DAWN_S)
            for name in NIGHT
        }

    assert not (rig.home / "missed").exists(), (rig.home / "missed").read_text()
    ends = {name: end_of(repository, result) for name, result in results.items()}
    assert {name: end for name, end in ends.items() if end not in NIGHT[name].ends} == {}
    assert sorted(ends[name] for name in ("a4", "b4")) == ["conflict", "landed"]
    assert sorted(ends[name] for name in ("a3", "b3")) == ["failed", "landed"]
    line = git(repository, "rev-list", "--first-parent", f"{owner.first}..main").split()
    been = git(repository, "reflog", "--format=%H", "refs/heads/main").split()
    assert set(been) <= {*line, owner.first}  # also of what was there for a moment
    assert fails_at(repository, line, tmp_path / "each") == []
    assert owner.state() == before
    by_hand = git(repository, "log", "--first-parent", "--format=%s", "--grep=By hand", "main").splitlines()
    assert sorted(by_hand) == ["By hand: mine.txt", "By hand: shop/rates.py"]
    _nothing_lost_or_twice(rig, workers)


def _nothing_lost_or_twice(rig: AgentRig, workers: Workers) -> None:
    rounds = (rig.home / "rounds").read_text().splitlines()
    assert sorted(line for line in rounds if line.endswith("works")) == sorted(
        f"{name} works" for name in NIGHT
    )
    assert sorted(line for line in rounds if line.endswith("mends")) == sorted(
        f"{name} mends" for name in workers.sent_back
    )
    assert len(workers.sent_back) >= min(ROWS, 7), (
        "one of each pair that does not fit, and what the owner's commit broke"
    )
    for name, text in workers.sent_back.items():
        assert "main moved to" in text, f"{name}: {text}"
    found = [path for folder in ("completed", "failed") for path in rig.home.glob(f"tasks/*/{folder}/*.md")]
    assert len(found) == len(list(rig.home.glob("tasks/*/results/*.json"))) == len(NIGHT)
    assert list(rig.home.glob("tasks/*/pending/*.md")) == []
    assert rig.marked() == []
    kinds = {each["kind"] for each in json.loads(rig.cli("status", "--json").stdout)["attention"]}
    assert kinds == {"failed", "not_landed", "changed_judges"}
