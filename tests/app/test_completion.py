"""The scripts that ``service install`` writes for shells, and takes away again."""

from __future__ import annotations

from task_queue.app.completion import install_scripts, remove_scripts
from tests.app.bench import Bench

SCRIPTS = {"bash": "complete task-queue\n", "zsh": "", "fish": "complete --command task-queue\n"}


def test_scripts_are_where_bash_and_fish_look_and_go_with_the_service(bench: Bench) -> None:
    """A second time replaces the first."""
    install_scripts({"bash": "old", "fish": "old"})
    written = install_scripts(SCRIPTS)

    data = bench.home / "xdg_data_home"
    bash, fish = (
        data / "bash-completion/completions/task-queue",
        data / "fish/vendor_completions.d/task-queue.fish",
    )
    assert written == [bash, fish]
    assert bash.read_text().endswith(SCRIPTS["bash"])
    assert fish.read_text().endswith(SCRIPTS["fish"])
    remove_scripts()
    assert not any(path.exists() for path in written)


def test_a_script_that_a_person_wrote_stays(bench: Bench) -> None:
    (bash, _) = install_scripts(SCRIPTS)
    bash.write_text("mine")

    assert bash not in install_scripts(SCRIPTS)
    remove_scripts()
    assert bash.read_text() == "mine"
