"""Facts as text and HTML."""

from __future__ import annotations

from importlib import import_module
from typing import Any

# Class, and the functions of this package that give its text and its HTML.
SHOWN = (
    ("hub_magic.settings.ModeSetting", "settings.setting_text", "settings.setting_html"),
    ("hub_magic.settings.CacheSetting", "settings.setting_text", "settings.setting_html"),
    ("hub_magic.keras.KerasSetting", "settings.setting_text", "settings.setting_html"),
    ("hub_magic.doctor.finding.Diagnosis", "doctor.diagnosis_text", "doctor.diagnosis_html"),
    ("hub_magic.doctor.finding.Report", "doctor.report_text", "doctor.report_html"),
    ("hub_magic.loading.plan.LoadPlan", "plan.plan_text", "plan.plan_html"),
    ("hub_magic.cache.scan.CacheScan", "cache.scan_text", "cache.scan_html"),
    ("hub_magic.download.fetched_models.FetchedModels", "fetched.fetched_text", "fetched.fetched_html"),
    ("hub_magic.cache.others.MachineScan", "machine.machine_text", "machine.machine_html"),
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


def text_of(fact: Any) -> str:
    """The fact as text; what is none of ours as Python writes it."""
    name = f"{type(fact).__module__}.{type(fact).__qualname__}"
    function = next((text for shown, text, _ in SHOWN if shown == name), None)
    return rendered(fact, function) if function else str(fact)


def rendered(fact: Any, function: str) -> str:
    """The fact as one of this package's functions shows it ("cache.scan_text")."""
    module, name = function.split(".")
    shown: str = getattr(import_module(f"{__package__}.{module}"), name)(fact)
    return shown
