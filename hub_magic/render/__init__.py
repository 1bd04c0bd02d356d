"""Facts as text and HTML."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..facts import write_with

Show = Callable[[Any], str]

# The classes that are shown, under the names by which IPython's formatters find them. A class with its own
# `__repr__` hides a printer of its base.
SHOWN = (
    "hub_magic.care.add.Added",
    "hub_magic.care.add.AddedList",
    "hub_magic.care.copy.Copied",
    "hub_magic.care.copy.CopyPlan",
    "hub_magic.care.export.Export",
    "hub_magic.care.export.Exported",
    "hub_magic.care.move.Move",
    "hub_magic.care.move.Moved",
    "hub_magic.care.remove.Removal",
    "hub_magic.care.remove.Removed",
    "hub_magic.care.repair.Repair",
    "hub_magic.care.repair.Repaired",
    "hub_magic.cache.other_caches.MachineScan",
    "hub_magic.cache.scan.CacheScan",
    "hub_magic.cache.verify.Verification",
    "hub_magic.cache.wanted.WantedModels",
    "hub_magic.doctor.diagnosis.Diagnosis",
    "hub_magic.doctor.diagnosis.Report",
    "hub_magic.download.fetching.FetchedModels",
    "hub_magic.keras.KerasSetting",
    "hub_magic.loading.plan.LoadPlan",
    "hub_magic.settings.CacheSetting",
    "hub_magic.settings.ModeSetting",
)


def text_of(fact: Any) -> str:
    """Return a fact as text, and anything else as Python writes it."""
    shown = functions_of(fact)
    return shown[0](fact) if shown else str(fact)


def _fact_text(fact: Any) -> str:
    shown = functions_of(fact)
    return shown[0](fact) if shown else repr(fact)


write_with(_fact_text)


def functions_of(fact: Any) -> tuple[Show, Show] | None:  # noqa: C901, PLR0911, PLR0912 - one case for each table
    """Return the functions that make text and HTML of a fact; None if there are none.

    A module is imported when its first fact is shown: a setting need not wait for the doctor's module.
    """
    if f"{type(fact).__module__}.{type(fact).__qualname__}" not in SHOWN:
        return None
    match type(fact).__name__:
        case "ModeSetting" | "CacheSetting" | "KerasSetting":
            from .settings import setting_html, setting_text

            return setting_text, setting_html
        case "Diagnosis":
            from .doctor import diagnosis_html, diagnosis_text

            return diagnosis_text, diagnosis_html
        case "Report":
            from .doctor import report_html as doctor_html
            from .doctor import report_text as doctor_text

            return doctor_text, doctor_html
        case "LoadPlan":
            from .plan import plan_html, plan_text

            return plan_text, plan_html
        case "CacheScan":
            from .cache import scan_html, scan_text

            return scan_text, scan_html
        case "MachineScan":
            from .cache import machine_html, machine_text

            return machine_text, machine_html
        case "WantedModels":
            from .cache import wanted_html, wanted_text

            return wanted_text, wanted_html
        case "Removal":
            from .care import removal_html, removal_text

            return removal_text, removal_html
        case "Removed":
            from .care import removed_html, removed_text

            return removed_text, removed_html
        case "CopyPlan" | "Copied":
            from .care import copy_html, copy_text

            return copy_text, copy_html
        case "FetchedModels":
            from .care import fetched_html, fetched_text

            return fetched_text, fetched_html
        case "Added" | "AddedList" | "Exported" | "Export" | "Move" | "Moved":
            from .care import report_html, report_text

            return report_text, report_html
        case "Verification":
            from .health import verification_html, verification_text

            return verification_text, verification_html
        case "Repair":
            from .health import repair_html, repair_text

            return repair_text, repair_html
        case "Repaired":
            from .health import repaired_html, repaired_text

            return repaired_text, repaired_html
    return None
