"""``docs/picture.svg``: what ``task-queue report`` says after the demo, as a terminal shows it.

``python -m tests.house.picture`` (``make picture``) plays the demo and writes the picture. Only what differs between
runs is replaced: times, commits and the scratch folder. The drawing names no font of another site.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

from task_queue.demo.show import run_demo
from task_queue.demo.stage import Stage, find_git
from tests.house.tables import ROOT
from tests.waiting import eventually

PICTURE = ROOT / "docs" / "picture.svg"
COLUMNS = 92
_COMMAND = "$ task-queue report"
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d")
_COMMIT = re.compile(r"\b[0-9a-f]{40}\b")
_FONT_FACE = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)


def draw(ansi: str) -> str:
    """*ansi*, what a command printed on a terminal, as an SVG that needs nothing from elsewhere."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(ansi), crop=False, highlight=False)
    return _FONT_FACE.sub("", console.export_svg(title="task-queue", unique_id="picture"))


def the_same_each_time(ansi: str, folder: Path) -> str:
    """Without the folder, the times and the commits of one run."""
    ansi = _COMMIT.sub("c0ffee" * 6 + "cafe", ansi.replace(str(folder), "~"))
    days = iter(("2026-02-06 06:30", *("2026-02-07 06:30",) * ansi.count(":")))
    return _TIME.sub(lambda _: next(days), ansi)


def _reported() -> str:
    """What ``report`` says after the demo, beside a daemon that runs."""
    played = run_demo(lambda _: None, keep=True)
    folder = Path(played.folder)
    try:
        stage = Stage(folder, find_git())
        program = [sys.executable, "-m", "task_queue.cli", "--config", str(stage.config)]
        on_a_terminal = {
            **stage.environment,
            "COLUMNS": str(COLUMNS),
            "LINES": "60",
            "FORCE_COLOR": "1",
            "TERM": "xterm-256color",
        }
        daemon = subprocess.Popen([*program, "daemon"], env=stage.environment, stderr=subprocess.DEVNULL)
        try:

            def said() -> str:
                return subprocess.run(
                    [*program, "report"], env=on_a_terminal, capture_output=True, text=True, check=True
                ).stdout

            eventually(lambda: "the daemon does not run" not in said(), what="the daemon runs")
            return the_same_each_time(said(), folder)
        finally:
            daemon.terminate()
            daemon.wait(60)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    PICTURE.write_text(draw(f"\x1b[1m{_COMMAND}\x1b[0m\n{_reported()}"))
