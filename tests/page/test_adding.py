"""Tasks from the form: templates, files that are chosen or dropped, the same checks as on the command line."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from playwright.sync_api import FilePayload, Page, expect

from tests.page.bench import PageBench

LATER = "---\nexecutor: sh\nnot_before: 2999-01-01T00:00:00Z\n---\n"
HOSTILE = "<img src=x onerror='window.hit=1'>.md"


def files(contents: Mapping[str, bytes | str]) -> list[FilePayload]:
    return [
        {
            "name": name,
            "mimeType": "text/markdown",
            "buffer": text.encode() if isinstance(text, str) else text,
        }
        for name, text in contents.items()
    ]


def drop(page: Page, contents: Mapping[str, str]) -> None:
    """As a person drops files on the heading, not on a field."""
    carried = page.evaluate_handle(
        """contents => {
            const carried = new DataTransfer();
            for (const [name, text] of Object.entries(contents)) carried.items.add(new File([text], name));
            return carried;
        }""",
        contents,
    )
    for kind in ("dragover", "drop"):
        page.get_by_role("heading", level=1).dispatch_event(kind, {"dataTransfer": carried})


@pytest.mark.long
def test_files_become_a_task_each_without_scripts(bench: PageBench) -> None:
    """Either each could run, or none is added, and each has its faults."""
    page = bench.owner(java_script_enabled=False)
    page.goto(f"{bench.url}/add?source=b")
    chosen = page.get_by_label("Files")
    chosen.set_input_files(
        files({"good.md": f"{LATER}# Good\n", HOSTILE: "---\nexecutr: sh\n---\n", "no": b"\xff"})
    )
    page.get_by_role("button", name="Add it").click()
    expect(page.locator("main")).to_contain_text("did you mean 'executor'")
    expect(page.locator("main")).to_contain_text(f"{HOSTILE} would be rejected")
    expect(page.locator(".said")).to_have_text("good.md would run, as “Good”.")
    assert list(bench.rig.pending("b").glob("task-*.md")) == []

    page.goto(f"{bench.url}/add?source=b")
    two = files({"good.md": f"{LATER}# Good\n", "better.md": f"{LATER}# Better\n"})
    chosen.set_input_files(two)
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_role("heading", name="2 tasks were accepted")).to_be_visible()
    page.get_by_role("link", name="Better").click()

    expect(page.locator("pre.document")).to_contain_text("# Better")


def test_a_template_is_begun_with_and_a_file_dropped_anywhere(bench: PageBench) -> None:
    """One comes into the editor, several into the field for files; the source that was chosen stays."""
    page = bench.owner()
    page.goto(f"{bench.url}/add")
    page.get_by_label("Source").select_option("b")
    page.get_by_label("Template").select_option("fix-bug")
    page.get_by_role("button", name="Begin with it").click()
    expect(page).to_have_url(f"{bench.url}/add?template=fix-bug&source=b")
    expect(page.get_by_label("Source")).to_have_value("b")
    expect(page.get_by_label("Template")).to_have_value("fix-bug")
    assert "What is to be done" not in page.get_by_label("Document").input_value()
    drop(page, {"a.md": f"{LATER}# One\n", "b.md": f"{LATER}# Two\n"})
    expect(page.locator("#said")).to_have_text("2 files are chosen")
    assert page.locator("#files").evaluate("field => field.files.length") == 2
    drop(page, {HOSTILE: f"{LATER}# Dropped\n"})
    expect(page.locator("#said")).to_have_text(f"{HOSTILE} is in the editor")
    assert page.locator("#files").evaluate("field => field.files.length") == 0
    page.get_by_role("button", name="Add it").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Dropped")
    expect(page.locator(".fields")).to_contain_text("in b")
    assert page.evaluate("window.hit") is None
    assert bench.complaints == []
