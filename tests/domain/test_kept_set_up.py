"""Which set-up commands may be kept, and what decides what they make."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from task_queue.domain.work.kept_set_up import KeptPart, TrackedFiles, kept_part, programs_of

PROJECT = {
    "pyproject.toml": '[project]\nname = "shop"\nversion = "1"\nreadme = "README.md"\n',
    "README.md": "# Shop\n",
    "CHANGELOG.md": "none\n",
    "shop/__init__.py": "",
    "shop/cart.py": "",
    "requirements.txt": "requests>=2 # the web\n-r more.txt\n",
    "more.txt": "click==8.1 --hash=sha256:aa\n",
    "vendor/greet.whl": "",
    "vendor/tool/pyproject.toml": "",
    "vendor/tool/tool.py": "",
    "package.json": '{"scripts": {"test": "jest"}}',
    "package-lock.json": "{}",
}
VENV = "python3 -m venv .venv"


def files(changes: Mapping[str, str | None] | None = None, below: str = "") -> TrackedFiles:
    """The project with *changes*; a file that becomes None is gone."""
    texts = {path: text for path, text in {**PROJECT, **(changes or {})}.items() if text is not None}
    return TrackedFiles(
        {path: str(hash(text)) for path, text in texts.items()}, lambda p: texts.get(p, ""), below
    )


def part_of(
    *commands: str, tree: TrackedFiles | None = None, reads: list[str] | None = None
) -> KeptPart | None:
    return kept_part(commands, tree or files(), reads=reads)


@pytest.mark.parametrize(
    ("command", "read", "not_read"),
    [
        (VENV, [], ["pyproject.toml", "requirements.txt", "shop/cart.py"]),
        (".venv/bin/pip install -q -r requirements.txt", ["requirements.txt", "more.txt"], ["shop/cart.py"]),
        (".venv/bin/python -m pip install -rrequirements.txt", ["requirements.txt"], ["README.md"]),
        (
            ".venv/bin/pip install -e '.[dev]' pytest",
            ["pyproject.toml", "README.md"],
            ["shop/cart.py", "CHANGELOG.md"],
        ),
        ("pip3 install --no-index ./vendor/greet.whl", ["vendor/greet.whl"], ["shop/cart.py"]),
        (".venv/bin/pip install ./vendor/tool", ["vendor/tool/tool.py"], ["shop/cart.py"]),
        ("pip install --find-links vendor greet", ["vendor/greet.whl"], ["shop/cart.py"]),
        (f"{VENV} && .venv/bin/pip install -r more.txt", ["more.txt"], ["requirements.txt"]),
        ("npm ci", ["package.json", "package-lock.json"], ["pyproject.toml", "shop/cart.py"]),
        ("uv sync --frozen --extra dev", ["pyproject.toml"], ["shop/cart.py", "package.json"]),
    ],
)
def test_what_decides_is_what_the_command_reads(command: str, read: list[str], not_read: list[str]) -> None:
    """Another content there is another thing that is kept; a change of other files is none."""
    now = part_of(command)
    assert now is not None
    assert (now.commands, now.rest) == ((command,), ())

    changed = {
        path: part_of(command, tree=files({path: PROJECT[path] + "\n"})) for path in (*read, *not_read)
    }
    assert [path for path, part in changed.items() if part is None or part.facts != now.facts] == read


@pytest.mark.parametrize(
    ("command", "changes"),
    [
        ("make build", {}),
        ("./setup.sh", {}),
        ("poetry install", {}),
        (".venv/bin/pip install .", {}),
        (".venv/bin/pip install /somewhere/else", {}),
        ("pip install --user click", {}),
        ("pip install -r requirements.txt > log", {}),
        ("pip install -r $REQUIREMENTS", {}),
        ("pip install -r missing.txt", {}),
        ("pip install -r requirements.txt || true", {}),
        ("pip install -r ../other/requirements.txt", {}),
        ("pip install -r requirements.txt", {"more.txt": "-e .\n", "setup.py": "anything()"}),
        ("pip install 'shop @ file:///tmp/shop'", {}),
        ("pip install -e .", {"setup.py": "import os\nsetup(version=os.environ['V'])"}),
        ("pip install -e .", {"shop/fast.pyx": "def f(): pass"}),
        ("pip install -e .", {"pyproject.toml": "[build-system]\nrequires = ['setuptools_scm']\n"}),
        ("pip install -e .", {"pyproject.toml": None}),
        ("npm ci", {"package.json": '{"scripts": {"prepare": "node build.js"}}'}),
        ("npm ci", {"package.json": "[" * 100_000}),
        ("npm install left-pad", {}),
        ("npm ci", {"binding.gyp": ""}),
        ("bin/pip install click", {"bin/pip": "a program of the project's"}),
        ("TASK_QUEUE_PORT=1 python3 -m venv .venv", {}),
        ("python3 -m venv '.venv", {}),
        ("", {}),
    ],
)
def test_what_may_read_more_runs_every_time(command: str, changes: dict[str, str | None]) -> None:
    assert part_of(command, tree=files(changes)) is None


def test_commands_after_an_unknown_one_run_every_time() -> None:
    part = part_of(VENV, ".venv/bin/pip install -r requirements.txt", "make build", VENV)

    assert part is not None
    assert (len(part.commands), part.rest) == (2, ("make build", VENV))


def test_a_new_package_is_another_installation() -> None:
    """Its name is in what an editable installation of the others looks up."""
    one, two = (part_of("pip install -e .", tree=files(more)) for more in ({}, {"stock/__init__.py": ""}))

    assert one is not None
    assert two is not None
    assert one.facts != two.facts


def test_the_owner_may_say_what_set_up_reads() -> None:
    one, same, other = (
        part_of("make env", tree=files(more), reads=["*.txt"])
        for more in ({}, {"shop/cart.py": "changed"}, {"more.txt": "changed"})
    )

    assert one is not None
    assert one == same
    assert one != other


def test_paths_are_those_of_the_workspaces_folder() -> None:
    """Which need not be the root of the repository."""
    tree = files({"web/requirements.txt": "click\n"}, below="web")
    part = part_of("pip install -r requirements.txt -r ../more.txt", tree=tree)

    assert part is not None
    assert {fact.split()[1] for fact in part.facts} == {"web/requirements.txt", "more.txt"}


def test_programs_outside_of_the_checkout_count() -> None:
    assert programs_of([f"A=1 {VENV} && .venv/bin/pip install click", "npm ci"]) == ("python3", "npm", "node")
