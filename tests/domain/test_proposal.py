"""Which commands are proposed for which files."""

from __future__ import annotations

import pytest

from task_queue.domain.work.project_files import ProjectFiles
from task_queue.domain.work.proposal import proposed_for

VENV = "python3 -m venv .venv"
PIP = ".venv/bin/pip install --quiet"
PYTEST = ".venv/bin/python -m pytest -q"
PROJECT = '[project]\nname = "shop"\n'
SCRIPT = '{"scripts": {"test": "vitest"}}'
UNITTEST = "import unittest\n"


def a_project(files: dict[str, str]) -> ProjectFiles:
    return ProjectFiles(frozenset(files), files)


@pytest.mark.parametrize(
    ("files", "setup", "verify"),
    [
        pytest.param({}, [], [], id="an empty folder"),
        pytest.param({"README.md": "pytest"}, [], [], id="a read-me only"),
        pytest.param(
            {"pyproject.toml": PROJECT + '[project.optional-dependencies]\nci = ["pytest>=8"]\ndev = []\n'},
            [VENV, f"{PIP} -e '.[ci]'"],
            [PYTEST],
            id="the extra that brings pytest",
        ),
        pytest.param(
            {"pyproject.toml": PROJECT + "[tool.pytest.ini_options]\n"},
            [VENV, f"{PIP} -e . pytest"],
            [PYTEST],
            id="pytest that nothing brings",
        ),
        pytest.param(
            {"requirements.txt": "flask\n", "requirements-dev.txt": "pytest\n"},
            [VENV, f"{PIP} -r requirements-dev.txt -r requirements.txt"],
            [PYTEST],
            id="requirements",
        ),
        pytest.param(
            {"requirements.txt": "flask  # not pytest\n"},
            [VENV, f"{PIP} -r requirements.txt"],
            [],
            id="pytest in a remark",
        ),
        pytest.param({"conftest.py": ""}, [], ["python3 -m pytest -q"], id="conftest"),
        pytest.param(
            {"test_shop.py": "def test_total() -> None: ...\n"}, [], ["python3 -m pytest -q"], id="functions"
        ),
        pytest.param({"test_shop.py": UNITTEST}, [], ["python3 -m unittest"], id="unittest in the root"),
        pytest.param(
            {"tests/": "", "tests/test_shop.py": UNITTEST},
            [],
            ["python3 -m unittest discover -s tests"],
            id="unittest in a folder",
        ),
        pytest.param(
            {"tests/__init__.py": "", "tests/test_shop.py": UNITTEST, "setup.py": ""},
            [VENV, f"{PIP} -e ."],
            [".venv/bin/python -m unittest"],
            id="unittest in a package",
        ),
        pytest.param(
            {"uv.lock": "", "pyproject.toml": PROJECT + '[dependency-groups]\ndev = ["pytest"]\n'},
            ["uv sync --frozen"],
            ["uv run --no-sync python -m pytest -q"],
            id="uv",
        ),
        pytest.param(
            {"poetry.lock": "", "pyproject.toml": '[build-system]\n[tool.poetry]\nx = "pytest"\n'},
            ["poetry install"],
            ["poetry run python -m pytest -q"],
            id="poetry",
        ),
        pytest.param({"package.json": SCRIPT, "package-lock.json": ""}, ["npm ci"], ["npm test"], id="npm"),
        pytest.param(
            {"package.json": '{"devDependencies": {"vitest": "1"}, "scripts": {"test": "vitest"}}'},
            ["npm install"],
            ["npm test"],
            id="npm without a lockfile",
        ),
        pytest.param(
            {"package.json": SCRIPT, "pnpm-lock.yaml": "", "package-lock.json": ""},
            ["pnpm install --frozen-lockfile"],
            ["pnpm test"],
            id="pnpm",
        ),
        pytest.param(
            {"package.json": SCRIPT, "yarn.lock": ""},
            ["yarn install --frozen-lockfile"],
            ["yarn test"],
            id="yarn",
        ),
        pytest.param(
            {
                "package.json": '{"packageManager": "yarn@4.1.0", "scripts": {"test": "jest"}}',
                "yarn.lock": "",
                ".yarnrc.yml": "",
                "pnpm-lock.yaml": "",
            },
            ["yarn install --immutable"],
            ["yarn test"],
            id="the manager that package.json names",
        ),
        pytest.param(
            {"package.json": '{"scripts": {"test": "echo \\"Error: no test specified\\" && exit 1"}}'},
            [],
            [],
            id="the script of npm init",
        ),
        pytest.param({"Cargo.toml": "", "Cargo.lock": ""}, [], ["cargo test"], id="cargo"),
        pytest.param({"go.mod": ""}, [], ["go test ./..."], id="go"),
        pytest.param({"Makefile": ".PHONY: test\ntest: all\n\ttrue\n"}, [], ["make test"], id="make"),
        pytest.param({"GNUmakefile": "check:\n"}, [], ["make check"], id="make check"),
        pytest.param({"Makefile": "test := 1\nother: test\n"}, [], [], id="a variable is no target"),
        pytest.param(
            {"Makefile": "test:\n", "go.mod": ""}, [], ["go test ./..."], id="make only where nothing else"
        ),
        pytest.param(
            {"go.mod": "", "package.json": SCRIPT, "package-lock.json": ""},
            ["npm ci"],
            ["npm test", "go test ./..."],
            id="two languages",
        ),
    ],
)
def test_what_is_proposed(files: dict[str, str], setup: list[str], verify: list[str]) -> None:
    proposed = proposed_for(a_project(files), in_own_checkout=True)

    assert [each.command for each in proposed.setup] == setup
    assert [each.command for each in proposed.verify] == verify
    assert all(each.why for each in (*proposed.setup, *proposed.verify))


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"pyproject.toml": "[tool.pytest.ini_options]\n"}, "pyproject.toml names pytest"),
        ({"tests/conftest.py": ""}, "there is tests/conftest.py"),
        ({"package.json": SCRIPT}, "package.json has the script test"),
        ({"makefile": "test:\n"}, "makefile has the target test"),
    ],
)
def test_it_says_why(files: dict[str, str], why: str) -> None:
    (proposed,) = proposed_for(a_project(files), in_own_checkout=True).verify

    assert proposed.why == why


@pytest.mark.parametrize(
    ("more", "verify"), [({}, "python3 -m pytest -q"), ({".venv/": ""}, PYTEST)], ids=["bare", "with .venv"]
)
def test_in_place_nothing_is_set_up(more: dict[str, str], verify: str) -> None:
    """The owner's own folder is the owner's to set up: the checks take what is there."""
    proposed = proposed_for(a_project({"requirements.txt": "pytest", **more}), in_own_checkout=False)

    assert proposed.setup == ()
    assert [each.command for each in proposed.verify] == [verify]


@pytest.mark.parametrize(
    "files",
    [
        {"package.json": "[" * 100_000},
        {"package.json": "\0"},
        {"package.json": '{"scripts": ["test"], "dependencies": "all"}'},
        {"package.json": '{"packageManager": ["npm"], "scripts": {"test": 1}}'},
        {"pyproject.toml": "a = " + "[" * 100_000},
        {"pyproject.toml": "project = 1\n"},
        {"Makefile": "test" * 50_000},
    ],
    ids=["deep JSON", "no JSON", "wrong types", "wrong values", "deep TOML", "no table", "no colon"],
)
def test_hostile_files_are_text(files: dict[str, str]) -> None:
    """Nothing is raised, and nothing is proposed to prove the work."""
    assert proposed_for(a_project(files), in_own_checkout=True).verify == ()


def test_an_extra_is_no_shell_text() -> None:
    """A name that pip would not take is left out of the command."""
    hostile = "[project.optional-dependencies]\n\"x]'; rm -rf ~; '\" = ['pytest']\n"
    proposed = proposed_for(a_project({"pyproject.toml": PROJECT + hostile}), in_own_checkout=True)

    assert proposed.setup[-1].command == f"{PIP} -e . pytest"
