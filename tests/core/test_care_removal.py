"""Removing and pruning: what is chosen, and what really goes, on caches written by hand."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from care_cache import NOBODY, NOW, WHOLE, lock, plant, tree
from repository import REPOSITORY, open_to_all

from hub_magic import (
    NotCachedError,
    Removal,
    SettingError,
    parse_handle,
    plan_prune,
    plan_removal,
    scan_cache,
)
from hub_magic.cache.selection import find_duplicates, select
from hub_magic.quantities import parse_period, parse_size

NNLM = "https://tfhub.dev/google/nnlm-en-dim50/2"
SMALL = 19  # bytes of care_cache.WHOLE


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    location = tmp_path / "cache"
    location.mkdir()
    return location


def going(plan: Removal) -> list[str]:
    return [choice.model.handle.removeprefix("https://tfhub.dev/") for choice in plan.going]


def kept(plan: Removal) -> dict[str, str]:
    return {choice.model.name: choice.reason for choice in plan.kept}


# Which entry is meant


@pytest.mark.parametrize(
    "word",
    [
        NNLM,
        "http://tfhub.dev/google/nnlm-en-dim50/2/",
        "https://www.TFHUB.dev/google/nnlm-en-dim50/2",
        "google/nnlm-en-dim50/2",
        "nnlm-en-dim50/2",
        "NNLM-en-dim50",
        "dim50",
        "/2",
        parse_handle(NNLM).folder,
        parse_handle(NNLM).folder[:12],
    ],
)
def test_an_entry_is_found_by_any_unambiguous_word(cache: Path, word: str) -> None:
    plant(cache, NNLM)
    plant(cache, "https://tfhub.dev/google/universal-sentence-encoder/4")
    assert [model.handle for model in select(scan_cache(str(cache)), [word])] == [NNLM]


def test_exact_name_wins_over_a_part_of_a_name(cache: Path) -> None:
    for handle in (
        "https://a.example/p/bert/1",
        "https://a.example/p/bert-large/1",
        "https://a.example/bert/bit/1",
    ):
        plant(cache, handle)
    scan = scan_cache(str(cache))
    assert [model.name for model in select(scan, ["bert"])] == ["bert"]
    assert len(select(scan, ["bert", "p/bert/1"])) == 1
    assert len(select(scan, ["bert-"], several=True)) == 1


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("nnlm", f"'nnlm' matches 2 cached models: {NNLM}, {NNLM[:-1]}3. Use the full handle."),
        ("nnlm-en-dim5", "'nnlm-en-dim5' matches 2 cached models"),
        ("nmlm-en-dim50", f"Similar: {NNLM}"),
        ("zzz", "'zzz' is not cached at"),
        ("", "'' is not cached at"),
        ("../cache", "'../cache' is not cached at"),
        ("*", "'*' is not cached at"),
    ],
)
def test_an_unknown_or_ambiguous_word_is_an_error_with_candidates(
    cache: Path, word: str, message: str
) -> None:
    plant(cache, NNLM)
    plant(cache, f"{NNLM[:-1]}3")
    with pytest.raises(NotCachedError) as caught:
        select(scan_cache(str(cache)), [word])
    assert message in str(caught.value)
    assert NNLM in str(caught.value)


def test_candidates_stay_on_one_line(cache: Path) -> None:
    entry = plant(cache, NNLM)
    for number in range(30):
        plant(cache, f"{NNLM}/{number}")
    Path(f"{entry}.descriptor.txt").write_text(
        "Module: https://x/nnlm\n\x1b[2J\nDownload Time: soon\nDownloader Hostname: h (PID:1)"
    )
    with pytest.raises(NotCachedError) as caught:
        select(scan_cache(str(cache)), ["nnlm"])
    assert str(caught.value).isprintable()
    assert "and 23 more" in str(caught.value)


def test_selection_in_an_empty_cache_says_that_it_is_empty(cache: Path) -> None:
    with pytest.raises(NotCachedError, match="is empty"):
        select(scan_cache(str(cache)), ["nnlm"])


# Removing


def test_remove_frees_what_was_expected(cache: Path) -> None:
    plant(cache, NNLM, size=1000)
    other = plant(cache, "https://tfhub.dev/google/other/1")
    Path(f"{cache / parse_handle(NNLM).folder}.files.json").write_text("{}")
    plan = plan_removal(["nnlm"], scan_cache(str(cache)))
    assert (plan.size, plan.left, len(tree(cache))) == (1000 + SMALL, SMALL, 15)
    done = plan.execute()
    assert (done.expected, done.freed, done.kept) == (1019, 1019, ())
    assert sorted(path.name for path in cache.iterdir()) == [other.name, f"{other.name}.descriptor.txt"]
    assert scan_cache(str(cache)).problems == ()
    assert plan.to_data()["size"] == 1019
    assert "loaded" not in plan.to_data()


def test_hard_linked_files_do_not_count_as_freed(cache: Path, tmp_path: Path) -> None:
    entry = plant(cache, NNLM, size=1000)
    os.link(entry / "assets/more", tmp_path / "kept")
    os.link(entry / "saved_model.pb", entry / "again.pb")
    done = plan_removal([NNLM], scan_cache(str(cache))).execute()
    assert (done.expected, done.freed) == (1026, SMALL)
    assert (tmp_path / "kept").stat().st_size == 1000


def test_links_in_a_removed_entry_are_never_followed(cache: Path, tmp_path: Path) -> None:
    entry = plant(cache, NNLM)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("it")
    (entry / "folder").symlink_to(outside)
    (entry / "file").symlink_to(outside / "precious")
    before = tree(outside)
    assert plan_removal([NNLM], scan_cache(str(cache))).execute().removed
    assert tree(outside) == before
    assert list(cache.iterdir()) == []


def test_locked_and_loaded_entries_are_kept_and_named(cache: Path) -> None:
    names = ("free", "mine", "dead", "garbage", "loaded")
    entries = {name: plant(cache, f"https://tfhub.dev/p/{name}/1") for name in names}
    lock(entries["mine"])
    lock(entries["dead"], pid=NOBODY)
    Path(f"{entries['garbage']}.lock").write_text("whose?")
    plan = plan_removal(
        names, scan_cache(str(cache)), loaded=lambda: (f"{cache}/../cache/{entries['loaded'].name}/",)
    )
    assert going(plan) == ["p/free/1"]
    assert kept(plan) == {
        "mine": f"locked (held by process {os.getpid()} on {os.uname().nodename})",
        "dead": f"locked (stale: process {NOBODY} is gone)",
        "garbage": "locked (a lock that names no owner)",
        "loaded": "loaded in this kernel",
    }
    done = plan.execute()
    assert [choice.model.name for choice in done.kept] == ["mine", "dead", "garbage", "loaded"]
    assert sorted(entry.name for entry in entries.values() if entry.exists()) == sorted(
        entry.name for name, entry in entries.items() if name != "free"
    )


def test_removal_keeps_entries_changed_since_the_plan(cache: Path) -> None:
    def touched(_entry: Path) -> None:
        pass

    def grown(entry: Path) -> None:
        (entry / "more").write_text("x")

    def replaced(entry: Path) -> None:
        shutil.rmtree(entry)
        plant(cache, f"https://tfhub.dev/p/{replaced.__name__}/1", used=-1)

    def gone(entry: Path) -> None:
        shutil.rmtree(entry)

    def linked(entry: Path) -> None:
        entry.rename(cache / "elsewhere")
        entry.symlink_to(cache / "elsewhere")

    changes = {change.__name__: change for change in (touched, grown, replaced, gone, linked)}
    entries = {name: plant(cache, f"https://tfhub.dev/p/{name}/1") for name in (*changes, "locked", "loaded")}
    loaded: list[str] = []
    plan = plan_removal(entries, scan_cache(str(cache)), loaded=lambda: loaded)
    for name, change in changes.items():
        change(entries[name])
    lock(entries["locked"], pid=1, host="far.example")
    loaded.append(str(entries["loaded"]))
    done = plan.execute()
    assert [model.name for model in done.removed] == ["touched"]
    assert {choice.model.name: choice.reason for choice in done.kept} == {
        "grown": "it has changed since the plan was made",
        "replaced": "it has changed since the plan was made",
        "gone": "it had already been deleted",
        "linked": "it is not an entry of this cache",
        "locked": "locked by process 1 on far.example",
        "loaded": "loaded in this kernel",
    }
    assert (cache / "elsewhere" / "saved_model.pb").exists()
    assert not [path for path in cache.iterdir() if path.name.endswith(".tmp")]


def test_prune_keeps_entries_used_since_the_plan(cache: Path) -> None:
    entry = plant(cache, NNLM, used=40)
    plan = plan_prune(scan_cache(str(cache)), older_than=timedelta(days=30), now=NOW)
    os.utime(entry / "saved_model.pb", (NOW.timestamp(),) * 2)
    assert kept_reasons(plan) == ["it has been used since the plan was made"]
    assert kept_reasons(plan_removal([NNLM], scan_cache(str(cache)))) == []


def kept_reasons(plan: Removal) -> list[str]:
    return [choice.reason for choice in plan.execute().kept]


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become somebody else")
def test_entry_of_another_user_stays_complete(cache: Path) -> None:
    """In a shared cache with the sticky bit, as /tmp has, and in one whose folders only the owner may write."""
    entry = plant(cache, NNLM)
    inner = plant(cache, "https://tfhub.dev/p/inner/1")
    for path in (inner, *inner.rglob("*"), cache / f"{inner.name}.descriptor.txt"):
        os.chown(path, 65534, 65534)
    os.chown(inner / "variables", 0, 0)
    cache.chmod(0o1777)
    open_to_all(cache.parent)
    before = tree(cache)
    code = (
        f"import os; from hub_magic import scan_cache; from hub_magic.care.remove import plan_removal\n"
        f"os.setgid(65534); os.setuid(65534)\n"
        f"done = plan_removal(['nnlm', 'inner'], scan_cache({str(cache)!r})).execute()\n"
        f"print(*[choice.reason for choice in done.kept], sep='\\n')"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout.splitlines() == [
        f"it cannot be removed: you have no write permission for {entry}",
        f"it cannot be removed: you have no write permission for {inner}/variables",
    ], run.stderr
    assert tree(cache) == before


# Pruning


def test_prune_by_age_removes_older_models(cache: Path) -> None:
    plant(cache, "https://tfhub.dev/p/old/1", used=40)
    plant(cache, "https://tfhub.dev/p/young/1", used=20)
    plant(cache, "https://tfhub.dev/p/needed/1", used=50)
    plan = plan_prune(scan_cache(str(cache)), older_than=timedelta(days=30), keep=["needed"], now=NOW)
    assert going(plan) == ["p/old/1"]
    assert plan.going[0].reason == "last used on 2026-10-11"


def test_prune_by_age_uses_the_download_if_use_is_unknown(cache: Path) -> None:
    empty = cache / parse_handle("https://tfhub.dev/p/empty/1").folder
    plant(cache, "https://tfhub.dev/p/empty/1", {"x": b""}, used=40)
    (empty / "x").unlink()
    (cache / ("0" * 40)).mkdir()
    plan = plan_prune(scan_cache(str(cache)), older_than=timedelta(days=30), now=NOW)
    assert going(plan) == ["p/empty/1"]  # nothing at all is known of the other


def test_prune_to_a_size_removes_least_recently_used_models(cache: Path) -> None:
    for name, used in (("a", 3), ("b", 9), ("c", 5), ("d", 1)):
        plant(cache, f"https://tfhub.dev/p/{name}/1", size=1000, used=used)
    entry = plant(cache, "https://tfhub.dev/p/e/1", size=1000, used=90)
    lock(entry)
    scan = scan_cache(str(cache))
    plan = plan_prune(scan, max_size=3100, now=NOW)
    assert (going(plan), list(kept(plan))) == (["p/b/1", "p/c/1"], ["e"])
    assert (plan.left, plan.goal) == (3057, 3100)
    assert going(plan_prune(scan, max_size=3100, keep=["p/b", "a"])) == ["p/c/1", "p/d/1"]
    nothing = plan_prune(scan, max_size=10**9)
    assert (nothing.going, nothing.kept) == ((), ())
    assert plan_prune(scan, max_size=0).left == 1019


def test_prune_keeps_the_newest_versions(cache: Path) -> None:
    for version in (9, 10, 11):
        plant(cache, f"https://tfhub.dev/p/many/{version}")
    plant(cache, "http://tfhub.dev/p/many/11/")
    plant(cache, "https://tfhub.dev/p/one/1")
    plant(cache, "https://tfhub.dev/p/unversioned")
    plant(cache, "https://tfhub.dev/p/nameless/7", descriptor=False)
    scan = scan_cache(str(cache))
    assert going(plan_prune(scan, keep_newest=1)) == ["p/many/10", "p/many/9"]
    assert going(plan_prune(scan, keep_newest=2)) == ["p/many/9"]
    assert going(plan_prune(scan, keep_newest=1, keep=["many/9"])) == ["p/many/10"]
    # Beside another rule it only protects.
    assert going(plan_prune(scan, keep_newest=2, older_than=timedelta(0), now=NOW + timedelta(1))) == [
        "p/many/9"
    ]


def test_prune_removes_duplicates_by_spelling(cache: Path) -> None:
    spellings = (NNLM, f"{NNLM}/", NNLM.replace("https", "http"))
    for number, handle in enumerate(spellings):
        plant(cache, handle, used=number)
    kaggle = "https://www.kaggle.com/models/google/nnlm/tensorFlow2/en-dim50/1"
    plant(cache, kaggle, used=1)
    plant(cache, kaggle.replace("dim50", "dim128"), size=5)
    scan = scan_cache(str(cache))
    (group,) = find_duplicates(scan)
    assert {model.handle for model in group} == {*spellings, kaggle}
    plan = plan_prune(scan, duplicates=[group])
    assert {choice.model.handle for choice in plan.going} == {*spellings[1:], kaggle}
    assert {choice.reason for choice in plan.going} == {f"the same model as {NNLM}"}
    assert plan_prune(scan, duplicates=[]).going == ()
    lock(cache / parse_handle(kaggle).folder)
    scan = scan_cache(str(cache))
    plan = plan_prune(scan, duplicates=find_duplicates(scan))
    assert {choice.model.handle for choice in plan.going} == set(spellings)


def test_two_versions_with_the_same_files_are_no_duplicates(cache: Path) -> None:
    for version in (1, 2):
        plant(cache, f"https://tfhub.dev/p/it/{version}")
    plant(cache, "https://kaggle.com/models/p/it/tensorFlow2/default/1")
    assert find_duplicates(scan_cache(str(cache))) == ()


def test_looking_for_duplicates_does_not_count_as_use(cache: Path) -> None:
    plant(cache, NNLM, used=40)
    plant(cache, "https://kaggle.com/models/google/nnlm/tensorFlow2/en-dim50/1", used=50)
    before = scan_cache(str(cache))
    assert len(find_duplicates(before)) == 1
    assert [m.last_used for m in scan_cache(str(cache)).models] == [m.last_used for m in before.models]


def test_descriptor_time_with_a_zone_can_be_compared(cache: Path) -> None:
    entry = plant(cache, NNLM)
    for path in entry.rglob("*.*"):
        path.unlink()
    text = Path(f"{entry}.descriptor.txt")
    text.write_text(text.read_text().replace("12:00:00", "12:00:00+09:00"))
    plant(cache, f"{NNLM}/3", used=3)
    scan = scan_cache(str(cache))
    assert len(going(plan_prune(scan, max_size=0, older_than=timedelta(0), now=NOW + timedelta(1)))) == 2


def test_prune_needs_a_rule(cache: Path) -> None:
    scan = scan_cache(str(cache))
    with pytest.raises(SettingError, match="Say what to prune"):
        plan_prune(scan)
    with pytest.raises(SettingError, match="--keep-newest 0 keeps nothing"):
        plan_prune(scan, keep_newest=0)
    with pytest.raises(NotCachedError):
        plan_prune(scan, max_size=0, keep=["nnlm"])


def test_prune_of_duplicates_keeps_the_intact_copy(cache: Path) -> None:
    plant(cache, NNLM, {"saved_model.pb": b""}, used=0)
    plant(cache, f"{NNLM}/", used=9)
    scan = scan_cache(str(cache))
    assert going(plan_prune(scan, duplicates=find_duplicates(scan))) == ["google/nnlm-en-dim50/2"]


# Places that are not only a cache


def test_a_folder_full_of_other_things_is_safe(tmp_path: Path) -> None:
    """The cache is a home folder: only entries go, whatever else looks like one."""
    entry = plant(tmp_path, NNLM)
    other = "ab" * 20
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id").write_text("secret")
    (tmp_path / "photos" / other).mkdir(parents=True)
    (tmp_path / "photos" / other / "saved_model.pb").write_text("x")
    (tmp_path / f"{other}").symlink_to(tmp_path / "photos")
    (tmp_path / ("cd" * 20)).write_text("a file with the name of an entry")
    (tmp_path / ("CD" * 20)).mkdir()
    (tmp_path / f"{'ef' * 20}.bak").mkdir()
    (tmp_path / f"{entry.name}.descriptor.txt.orig").write_text("x")
    before = tree(tmp_path)
    plan = plan_prune(scan_cache(str(tmp_path)), max_size=0)
    assert going(plan) == ["google/nnlm-en-dim50/2"]
    plan.execute()
    ours = {path for path in before if path.startswith(str(entry)) and not path.endswith(".orig")}
    assert tree(tmp_path) == {path: what for path, what in before.items() if path not in ours}


def test_the_root_as_a_cache_is_safe() -> None:
    plan = plan_prune(scan_cache("/"), max_size=0)
    assert plan.going == ()
    with pytest.raises(NotCachedError):
        plan_removal(["etc"], scan_cache("/"))


def test_handmade_plan_cannot_remove_outside_the_cache(cache: Path, tmp_path: Path) -> None:
    victim = tmp_path / parse_handle(NNLM).folder
    plant(tmp_path, NNLM)
    inside = plant(cache, NNLM)
    (model,) = scan_cache(str(tmp_path)).models
    plan = plan_removal([NNLM], scan_cache(str(cache)))
    from dataclasses import replace

    for bad in (
        replace(model, path=str(victim)),
        replace(model, folder="..", path=f"{cache}/.."),
        replace(model, folder="photos", path=f"{cache}/photos"),
    ):
        done = replace(plan, going=(replace(plan.going[0], model=bad),)).execute()
        assert [choice.reason for choice in done.kept] == ["it is not an entry of this cache"]
    assert victim.exists()
    assert inside.exists()


# Sizes and periods


def test_sizes_and_periods_are_parsed_or_refused() -> None:
    assert [parse_size(text) for text in ("0", "500B", "1kB", "500MB", "1.5G", "5GiB", " 2 tb ")] == [
        0,
        500,
        1000,
        500_000_000,
        1_500_000_000,
        5 * 1024**3,
        2 * 10**12,
    ]
    assert [parse_period(text).total_seconds() / 86400 for text in ("12h", "30d", "4W", "1y", "1.5 d")] == [
        0.5,
        30,
        28,
        365.25,
        1.5,
    ]
    assert [parse_size(text) for text in ("0.0", " 0 ", "0GB", "500 bytes")] == [0, 0, 0, 500]
    for text in ("10", "500", "1.5", " 7 ", "0.1"):
        with pytest.raises(SettingError, match=r"has no unit\. Write it as 500MB"):
            parse_size(text)
    for text in ("", "five", "5 apples", "-1", "1e9", "5GBB", "GB", "9" * 400):
        with pytest.raises(SettingError, match=r"Write it as 500MB"):
            parse_size(text)
    for text in ("", "30", "30 days", "1m", "-3d", "9" * 400 + "d"):
        with pytest.raises(SettingError, match=r"Write it as 12h"):
            parse_period(text)
    assert parse_period("999999y").days == 365_249_634 or parse_period("999999y").days > 300_000_000


def test_planning_leaves_the_cache_as_it_is(cache: Path) -> None:
    for number in range(5):
        plant(cache, f"https://tfhub.dev/p/m/{number}", used=number * 20, files=WHOLE)
    before = tree(cache)
    scan = scan_cache(str(cache))
    plan_prune(scan, max_size=20, older_than=timedelta(days=30), duplicates=find_duplicates(scan), now=NOW)
    plan_removal(["m/3"], scan)
    assert tree(cache) == before
