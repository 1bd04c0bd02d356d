"""How IPython shows our facts: registered with its formatters, so that the facts know nothing of it.

The classes are named, not imported: IPython looks a name up when it meets an object of that class.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.lib.pretty import PrettyPrinter

# Class, and the functions of `render` that give its text and its HTML.
_SHOWN = (
    ("hub_magic.settings.ModeSetting", "settings.setting_text", "settings.setting_html"),
    ("hub_magic.settings.CacheSetting", "settings.setting_text", "settings.setting_html"),
    ("hub_magic.loading.plan.LoadPlan", "plan.plan_text", "plan.plan_html"),
    ("hub_magic.cache.scan.CacheScan", "cache.scan_text", "cache.scan_html"),
    ("hub_magic.download.fetched_models.FetchedModels", "fetched.fetched_text", "fetched.fetched_html"),
    ("hub_magic.cache.removal.Removal", "care.removal_text", "care.removal_html"),
    ("hub_magic.cache.copying.CopyPlan", "copying.copy_text", "copying.copy_html"),
    ("hub_magic.cache.copying.Copied", "copying.copy_text", "copying.copy_html"),
    ("hub_magic.cache.removal.Removed", "care.removed_text", "care.removed_html"),
    ("hub_magic.cache.verify.Verification", "health.verification_text", "health.verification_html"),
    ("hub_magic.download.repair.Repair", "health.repair_text", "health.repair_html"),
    ("hub_magic.cache.exporting.Exported", "transport.report_text", "transport.report_html"),
    ("hub_magic.cache.export_list.Export", "transport.report_text", "transport.report_html"),
    ("hub_magic.cache.relocation.Move", "transport.report_text", "transport.report_html"),
    ("hub_magic.cache.relocation.Moved", "transport.report_text", "transport.report_html"),
    ("hub_magic.download.adding.Added", "transport.report_text", "transport.report_html"),
    ("hub_magic.download.add_list.AddedList", "transport.report_text", "transport.report_html"),
    ("hub_magic.download.repair.Repaired", "health.repaired_text", "health.repaired_html"),
)


def register(shell: InteractiveShell) -> Callable[[], None]:
    """Show our facts as text and HTML; the function given back undoes it."""
    formatters = shell.display_formatter.formatters
    text, rich = formatters["text/plain"], formatters["text/html"]
    for name, text_function, html_function in _SHOWN:
        text.for_type(name, _printer(text_function))
        rich.for_type(name, _renderer(html_function))

    def undo() -> None:
        for name, _, _ in _SHOWN:
            text.pop(name, None)
            rich.pop(name, None)

    return undo


def _renderer(name: str) -> Callable[[Any], str]:
    module, function = name.split(".")

    def render(fact: Any) -> str:
        shown: str = getattr(import_module(f"hub_magic.render.{module}"), function)(fact)
        return shown

    return render


def _printer(name: str) -> Callable[[Any, PrettyPrinter, bool], None]:
    render = _renderer(name)

    def print_fact(fact: Any, printer: PrettyPrinter, _cycle: bool) -> None:
        printer.text(render(fact))

    return print_fact
