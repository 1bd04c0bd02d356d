"""The cache browser with 10,000 models in Chromium and JupyterLab, beside other ways to show the same table.

Each round opens a notebook with a separate kernel for every subject, in turn, and runs its cell. Medians of
this one run are compared. Needs a browser, playwright, JupyterLab, and `itables` beside the project. Missing
ones are left out, with a note.

    scripts/benchmark browser [-- ROUNDS [MODELS]]
"""

from __future__ import annotations

import importlib.util
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "rigs"))

from browser_caches import fill
from browser_rig import Lab, NotebookPage, launch, opened
from playwright.sync_api import sync_playwright

ROWS = """
from hub_magic import list_cache
rows = [(model.name, model.publisher, model.version, model.handle) for model in list_cache({cache!r}).models]
"""
WIDGETS = """
import ipywidgets
def line(row):
    remove = ipywidgets.Button(description="Remove")
    return ipywidgets.HBox([*(ipywidgets.Label(text) for text in row[:3]), remove])
ipywidgets.VBox([line(row) for row in rows[:{shown}]])
"""
ITABLES = """
import itables, pandas
from itables.widget import ITable
ITable(pandas.DataFrame(rows, columns=["model", "publisher", "version", "handle"]), maxBytes=0)
"""

# Milliseconds from running the cell to its first row on the screen.
SHOW = """selector => {
    const begun = performance.now();
    window.jupyterapp.commands.execute('notebook:run-cell');
    return new Promise((resolve) => {
        const look = () => requestAnimationFrame(() => {
            if (document.querySelector(selector)) setTimeout(() => resolve(performance.now() - begun));
            else look();
        });
        look();
    });
}"""
# Milliseconds from an act to the end of the frame that shows its result.
PAINT = """([selector, act, value]) => {
    const element = document.querySelector(selector);
    const begun = performance.now();
    if (act === 'type') {
        element.value = value;
        element.dispatchEvent(new Event('input', { bubbles: true }));
    } else element.click();
    const painted = (resolve) => setTimeout(() => resolve(performance.now() - begun));
    return new Promise((resolve) => requestAnimationFrame(() => painted(resolve)));
}"""
# The longest frame, in milliseconds, of a walk from top to bottom in 200 steps. Without such an element, the
# longest of as many frames in which nothing happens: the best that the computer can do at that moment.
SCROLL = """selector => {
    const element = document.querySelector(selector) ?? {};
    return new Promise((resolve) => {
        let [step, last, longest] = [0, performance.now(), 0];
        const move = (now) => {
            longest = Math.max(longest, now - last);
            last = now;
            element.scrollTop = (++step / 200) * element.scrollHeight;
            if (step < 200) requestAnimationFrame(move);
            else resolve(longest);
        };
        requestAnimationFrame((now) => { last = now; requestAnimationFrame(move); });
    });
}"""


@dataclass(frozen=True)
class Subject:
    """One way to show the table: its cell, its rows, and where to sort and to type."""

    name: str
    code: str
    row: str
    sort: str = ""
    filter: str = ""


SUBJECTS = (
    Subject(
        "cache browser",
        "%hub_cache",
        ".hub-magic tbody bdi",
        ".hub-magic th.hm-publisher button",
        ".hub-magic input[type=search]",
    ),
    Subject("ipywidgets, page of 25", WIDGETS.format(shown=25), ".jupyter-button"),
    Subject("ipywidgets, VBox of 100", WIDGETS.format(shown=100), ".jupyter-button"),
    Subject(
        "itables", ITABLES, "table.dataTable tbody td", "table.dataTable th:nth-child(2)", ".dt-search input"
    ),
)

Times = dict[str, list[float]]


def measure(page: NotebookPage, subject: Subject, times: Times) -> None:
    kernel = "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'"
    page.command("notebook:run-cell-and-select-next")
    page.page.wait_for_function(kernel)
    times["first row"].append(page.page.evaluate(SHOW, subject.row))
    if not subject.sort:
        return
    if subject.name == "cache browser":
        page.facts.filter(has_text=" model").filter(has_not_text="so far").wait_for()
    page.page.wait_for_function(kernel)
    for _ in range(5):
        times["sort"].append(page.page.evaluate(PAINT, [subject.sort, "click", ""]))
    for text in ("m", "mo", "model-0", "model-04", "family-3 model-04"):
        times["keystroke"].append(page.page.evaluate(PAINT, [subject.filter, "type", text]))
    page.page.evaluate(PAINT, [subject.filter, "type", ""])
    if subject.name == "cache browser":
        for _ in range(3):
            times["longest frame"].append(page.page.evaluate(SCROLL, ".hub-magic .hm-scroller"))
            times["with no scrolling"].append(page.page.evaluate(SCROLL, "hub-magic-nothing"))


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
    subjects = [one for one in SUBJECTS if one.name != "itables" or importlib.util.find_spec("itables")]
    if len(subjects) < len(SUBJECTS):
        print("itables is not installed, so its row is missing.")
    columns = ("first row", "sort", "keystroke", "longest frame", "with no scrolling")
    found: dict[str, Times] = {one.name: {column: [] for column in columns} for one in subjects}
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        cache = Path(home) / "cache"
        fill(cache, count)
        setting = f"import os\nos.environ['TFHUB_CACHE_DIR'] = {str(cache)!r}\n%load_ext hub_magic\n"
        with Lab(Path(home) / "lab") as lab, launch(playwright) as browser:
            for turn in range(rounds):
                for index, subject in enumerate(subjects):
                    rows = "" if subject.code.startswith("%") else ROWS.format(cache=str(cache))
                    name = lab.write(f"{turn}-{index}.ipynb", setting + rows, subject.code.strip())
                    with opened(lab, browser, name) as page:
                        measure(page, subject, found[subject.name])
    print(f"\n{count:,} models, {rounds} rounds; milliseconds, median (lowest to highest)\n")
    print(f"{'':<26}" + "".join(f"{column:>21}" for column in columns))
    for name, times in found.items():
        cells = (
            f"{statistics.median(one):.0f} ({min(one):.0f} to {max(one):.0f})" if one else ""
            for one in times.values()
        )
        print(f"{name:<26}" + "".join(f"{cell:>21}" for cell in cells))


if __name__ == "__main__":
    main()
