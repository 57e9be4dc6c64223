"""The audit's decisions on invented reports; its tools run only in `make audit`."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests import audit
from tests.audit import AuditError, Report

REPOSITORY = Path(__file__).parents[1]
LOCK = {"luigi": "3.8.1", "typing-extensions": "4.16.0"}
KNOWN = {"name": "django", "version": "2.0", "vulns": [{"id": "PYSEC-2018-2"}]}


def package(name: str, version: str, *vulnerabilities: str) -> Report:
    return {"name": name, "version": version, "vulns": [{"id": found} for found in vulnerabilities]}


CLEAN = [package("luigi", "3.8.1"), package("typing_extensions", "4.16.0")]


# The locks.


def test_a_lock_is_read_for_this_platform(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text(
        "# made by make lock\n"
        "Typing_Extensions==4.16.0 \\\n    --hash=sha256:00\n    # via luigi\n"
        "luigi==3.8.1 ; python_full_version >= '3.11' \\\n    --hash=sha256:00\n"
        "luigi==3.7.0 ; python_full_version < '3.11' \\\n    --hash=sha256:00\n"
        "tzdata==2026.6 ; sys_platform == 'emscripten' \\\n    --hash=sha256:00\n"
    )
    assert audit.read_lock(lock) == LOCK


def test_the_locks_agree_with_each_other() -> None:
    """Where two name a package they name one version, so that one question answers for both."""
    locks = [audit.read_lock(path) for path in audit.LOCKS]
    assert all(locks)
    assert all(a[name] == b[name] for a in locks for b in locks for name in a.keys() & b.keys())


# Vulnerabilities.


def judge_vulnerabilities(*dependencies: Report) -> str:
    return audit.judge_vulnerabilities({"dependencies": [*dependencies], "fixes": []}, LOCK)


def test_packages_without_vulnerabilities_pass() -> None:
    assert judge_vulnerabilities(*CLEAN, KNOWN) == "none known in 2 locked packages"


def test_a_vulnerability_is_named_with_its_package() -> None:
    with pytest.raises(AuditError, match=r"^known in luigi 3\.8\.1 \(CVE-1, CVE-2\)$"):
        judge_vulnerabilities(package("luigi", "3.8.1", "CVE-1", "CVE-2"), CLEAN[1], KNOWN)


@pytest.mark.parametrize(
    ("dependencies", "words"),
    [
        ([], "0 of 2 packages"),
        ([KNOWN], "0 of 2 packages"),
        ([CLEAN[0], KNOWN], "1 of 2 packages"),
        ([CLEAN[0], {"name": "typing-extensions", "skip_reason": "not found"}, KNOWN], "1 of 2"),
        (CLEAN, "not even the vulnerabilities of django==2.0"),
        ([*CLEAN, KNOWN | {"vulns": []}], "not even the vulnerabilities of django==2.0"),
    ],
)
def test_what_was_not_audited_is_not_reported_as_clean(
    dependencies: list[Report], words: str
) -> None:
    with pytest.raises(AuditError, match=f"^NOT AUDITED, which does not mean clean: {words}"):
        judge_vulnerabilities(*dependencies)


def test_no_lock_has_the_known_vulnerable_package() -> None:
    locks = [audit.read_lock(path) for path in (*audit.LOCKS, *audit.APART)]
    assert not any(audit.KNOWN_VULNERABLE.name in lock for lock in locks)


def test_every_lock_is_audited(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that conflicts with the others separately: a report cannot hold two versions."""
    audited: list[Path] = []

    def answer(locks: Sequence[Path]) -> str:
        audited.extend(locks)
        return "none"

    monkeypatch.setattr(audit, "look_up", answer)
    assert audit.vulnerabilities()
    locks = [REPOSITORY / "requirements.txt", *REPOSITORY.glob("requirements/*")]
    assert sorted(audited) == sorted(locks)


def test_every_reviewed_secret_is_in_a_file_that_exists() -> None:
    reviewed = json.loads(audit.BASELINE.read_text(encoding="utf-8"))["results"]
    assert [name for name in reviewed if not (REPOSITORY / name).is_file()] == []


def test_an_empty_lock_is_not_clean() -> None:
    with pytest.raises(AuditError, match="NOT AUDITED"):
        audit.judge_vulnerabilities({"dependencies": [KNOWN]}, {})


def test_another_version_is_not_the_locked_one() -> None:
    with pytest.raises(AuditError, match=r"luigi is 3\.8\.0 in the report, and 3\.8\.1 "):
        judge_vulnerabilities(package("luigi", "3.8.0"), CLEAN[1], KNOWN)


def test_without_an_answer_nothing_is_audited(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tool = tmp_path / "pip-audit"
    tool.write_text("#!/bin/sh\necho Traceback >&2; echo 'no route to host' >&2; exit 1\n")
    tool.chmod(0o700)
    monkeypatch.setattr(audit, "TOOLS", tmp_path)
    with pytest.raises(AuditError, match=r"^NOT AUDITED, .*clean .*pypi.*: no route to host$"):
        audit.vulnerabilities()


# Licences.

ALLOWED = {"MIT", "BSD License", "Apache-2.0"}


@pytest.mark.parametrize(
    "licence",
    ["MIT", "MIT AND Apache-2.0", "GPL-3.0 OR MIT", "BSD License; MIT", "GPL-3.0 OR MIT AND MIT"],
)
def test_a_licence_is_allowed(licence: str) -> None:
    assert audit.is_allowed(licence, ALLOWED)


@pytest.mark.parametrize(
    "licence",
    [
        "",
        "UNKNOWN",
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "BSD License; GPL",
        "(MIT OR GPL-3.0) AND GPL-2.0",
    ],
)
def test_a_licence_is_not_allowed(licence: str) -> None:
    assert not audit.is_allowed(licence, ALLOWED)


def judge_licences(licence: str, **reviewed: str) -> str:
    report = [
        {"Name": "luigi", "Version": "3.8.1", "License": licence},
        {"Name": "typing_extensions", "Version": "4.16.0", "License": "MIT"},
        {"Name": "only-for-tests", "Version": "1.0", "License": "GPL-3.0"},
    ]
    return audit.judge_licences(report, LOCK, ALLOWED, reviewed)


def test_only_licences_of_locked_packages_count() -> None:
    assert judge_licences("Apache-2.0") == "2 packages, all under allowed or reviewed licences"


def test_a_licence_that_is_not_allowed_is_named_with_its_package() -> None:
    with pytest.raises(AuditError, match=r"luigi \(GPL-3\.0\)$"):
        judge_licences("GPL-3.0")


def test_a_review_covers_one_package_and_one_licence() -> None:
    assert judge_licences("GPL-3.0", luigi="GPL-3.0")
    for reviewed in ({"luigi": "GPL-2.0"}, {"only-for-tests": "GPL-3.0"}):
        with pytest.raises(AuditError, match="luigi"):
            judge_licences("GPL-3.0", **reviewed)


def test_a_package_that_is_not_installed_has_no_licence() -> None:
    with pytest.raises(AuditError, match=r"luigi is absent in \.venv, and 3\.8\.1 in"):
        audit.judge_licences([], LOCK, ALLOWED, {})


# Secrets.


def secret(digest: str, **more: object) -> Report:
    return {"type": "Secret Keyword", "hashed_secret": digest, "line_number": 7, **more}


def judge_secrets(*found: Report, planted: frozenset[str] = frozenset(audit.PLANTED)) -> str:
    results = {"tests/a.py": [*found], audit.PLANTED_FILE: [{"type": kind} for kind in planted]}
    baseline = {
        "tests/a.py": [secret("aa", is_secret=False), secret("bb"), secret("cc", is_secret=True)]
    }
    return audit.judge_secrets({"results": results}, {"results": baseline})


def test_reviewed_secrets_pass() -> None:
    assert judge_secrets() == "only the 0 reviewed, made-up ones"
    assert judge_secrets(secret("aa")) == "only the 1 reviewed, made-up ones"


@pytest.mark.parametrize("digest", ["dd", "bb", "cc"])
def test_an_unreviewed_secret_is_named_by_file_and_line(digest: str) -> None:
    """Being in the baseline is not enough: somebody must have marked it as not a secret."""
    with pytest.raises(AuditError, match=r"tests/a\.py line 7 \(Secret Keyword\)$"):
        judge_secrets(secret("aa"), secret(digest))


def test_a_reviewed_secret_is_not_reviewed_for_another_file() -> None:
    results = {"README.md": [secret("aa")]}
    results[audit.PLANTED_FILE] = [{"type": kind} for kind in audit.PLANTED]
    baseline = {"tests/a.py": [secret("aa", is_secret=False)]}
    with pytest.raises(AuditError, match=r"README\.md line 7"):
        audit.judge_secrets({"results": results}, {"results": baseline})


@pytest.mark.parametrize("kind", sorted(audit.PLANTED))
def test_a_scanner_that_overlooks_what_was_planted_is_not_trusted(kind: str) -> None:
    with pytest.raises(AuditError, match=f"^NOT AUDITED.*{kind}"):
        judge_secrets(planted=frozenset(audit.PLANTED) - {kind})


def test_what_is_planted_does_not_look_like_a_secret_in_the_source() -> None:
    source = (REPOSITORY / "tests" / "audit.py").read_text(encoding="utf-8")
    assert not any(text in source for text in audit.PLANTED.values())


# The bill of materials.


def component(name: str, version: str) -> Report:
    return {"name": name, "version": version, "bom-ref": f"{name}=={version}"}


def test_a_bill_lists_what_is_locked_and_what_that_depends_on() -> None:
    locked = [component("luigi", "3.8.1"), component("typing_extensions", "4.16.0")]
    bill = {
        "bomFormat": "CycloneDX",
        "metadata": {"component": {"bom-ref": "root"}},
        "components": [component("pip", "26.3"), *locked],
        "dependencies": [
            {"ref": "root", "dependsOn": ["luigi==3.8.1", "pip==26.3"]},
            {"ref": "luigi==3.8.1", "dependsOn": ["typing_extensions==4.16.0"]},
            {"ref": "pip==26.3"},
        ],
    }
    assert audit.only_locked(bill, LOCK) == {
        "bomFormat": "CycloneDX",
        "metadata": {"component": {"bom-ref": "root"}},
        "components": locked,
        "dependencies": [
            {"ref": "root", "dependsOn": ["luigi==3.8.1"]},
            {"ref": "luigi==3.8.1", "dependsOn": ["typing_extensions==4.16.0"]},
        ],
    }


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"luigi": "3.8.1"}, "typing-extensions is absent in the bill, and 4.16.0 in the lock"),
        (LOCK | {"pip": "26.3"}, "pip is 26.3 in the bill, and absent in the lock"),
        (LOCK | {"luigi": "3.8.0"}, "luigi is 3.8.0 in the bill, and 3.8.1 in the lock"),
    ],
)
def test_a_bill_that_differs_from_the_lock_is_refused(found: dict[str, str], words: str) -> None:
    with pytest.raises(AuditError, match=words):
        audit.compare(found, LOCK, "the bill")


def test_an_empty_lock_equals_nothing() -> None:
    with pytest.raises(AuditError, match="pins nothing"):
        audit.compare({}, {}, "the bill")


# All parts.


def test_all_parts_run_and_print_one_line_even_if_all_fail(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(audit, "TOOLS", tmp_path)
    monkeypatch.setattr(audit, "BILL", tmp_path / "sbom.json")
    (tmp_path / "sbom.json").write_text("of another day")
    assert audit.main() == 1
    parts = [line.split(":")[0] for line in capsys.readouterr().out.splitlines()]
    names = ("vulnerabilities", "licences", "secrets", "bill of materials")
    assert parts == [f"FAILED  {name}" for name in names]
    assert not (tmp_path / "sbom.json").exists()


def test_one_failed_part_fails_the_audit(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("vulnerabilities", "licences", "secrets", "bill_of_materials"):
        monkeypatch.setattr(audit, name, good)
    assert audit.main() == 0
    monkeypatch.setattr(audit, "licences", crash)
    assert audit.main() == 1


def good() -> str:
    return "clean"


def crash() -> str:
    """Fail like a part that reads a report of an unknown shape."""
    return {"packages": "some"}["dependencies"]
