"""Audit the project: known vulnerabilities, licences, secrets, and a bill of materials.

`make audit` runs all four parts, prints one line each, and exits 1 if one fails. What could not
be audited has failed: it is never reported as clean. Two parts also look for something planted,
and only trust that there is nothing else if they find it.

Add a made-up secret of a test to the baseline and review it there with
`detect-secrets scan --no-verify --baseline .ci/.secrets.baseline` and
`detect-secrets audit .ci/.secrets.baseline`, both in .venv-audit/bin.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

REPOSITORY = Path(__file__).parents[1]
TOOLS = Path(sys.executable).parent
RUNTIME = REPOSITORY / ".venv" / "bin" / "python"
LOCK = REPOSITORY / "requirements.txt"
OTHERS = ("dev", "s3", "gs", "azure", "bigquery", "state", "audit", "bench", "dlt", "frictionless")
LOCKS = (LOCK, *(REPOSITORY / "requirements" / f"{name}.txt" for name in OTHERS))
# Their versions conflict with those of the others, so each is audited separately.
APART = tuple(REPOSITORY / "requirements" / f"{n}.txt" for n in ("airflow", "bigquery-emulator"))
BASELINE = REPOSITORY / ".ci" / ".secrets.baseline"
BILL = REPOSITORY / "build" / "sbom.json"

# A version whose vulnerabilities were published long ago: a database without them is useless. No
# lock has this package, because one query holds one version of each.
KNOWN_VULNERABLE = Requirement("django==2.0")
NOT_AUDITED = "NOT AUDITED, which does not mean clean"
# In two pieces each, or this file would contain a secret itself.
PLANTED = {
    "AWS Access Key": "AKIA" + "IOSFODNN7EXAMPLE",
    "Private Key": "-----BEGIN " + "RSA PRIVATE KEY-----",
}
PLANTED_FILE = "planted-by-the-audit.txt"

Pins = dict[str, str]
"""Version by canonical name."""
Report = dict[str, Any]
"""A tool's report, as JSON."""


class AuditError(Exception):
    """Something was found, or could not be audited."""


def main() -> int:
    """Run every part, even if others fail; return 0 if all pass."""
    parts = (vulnerabilities, licences, secrets, bill_of_materials)
    passed = [passes(part) for part in parts]
    return 0 if all(passed) else 1


def passes(part: Callable[[], str]) -> bool:
    """Run a part, print its line, and return whether it passed."""
    name = part.__name__.replace("_", " ")
    try:
        print(f"ok      {name}: {part()}", flush=True)
    except AuditError as error:
        print(f"FAILED  {name}: {error}", flush=True)
    except (OSError, LookupError, TypeError, ValueError) as error:
        print(f"FAILED  {name}: {type(error).__name__}: {error}", flush=True)
    else:
        return True
    return False


# The locks.


def read_lock(path: Path) -> Pins:
    """Return the pins of a lock that apply to this Python on this platform."""
    lines = path.read_text(encoding="utf-8").splitlines()
    found = [Requirement(line.rstrip(" \\")) for line in lines if line[:1].isalnum()]
    return pins(
        (one.name, str(one.specifier).removeprefix("=="))
        for one in found
        if one.marker is None or one.marker.evaluate()
    )


def pins(found: Iterable[tuple[str, str]]) -> Pins:
    """Return names and versions in canonical spelling."""
    return {canonicalize_name(name): str(Version(version)) for name, version in found}


def compare(found: Pins, lock: Pins, where: str) -> None:
    """Raise AuditError unless exactly what is locked was found, and the lock is not empty."""
    if not lock:
        raise AuditError("the lock pins nothing")
    for name in sorted(found.keys() | lock.keys()):
        if found.get(name) != lock.get(name):
            has, wants = found.get(name, "absent"), lock.get(name, "absent")
            raise AuditError(f"{name} is {has} in {where}, and {wants} in the lock")


# The tools.


def run(tool: str, *arguments: str | Path, folder: Path = REPOSITORY) -> Report:
    """Return a tool's report; without one, raise its last line as the reason."""
    try:
        done = subprocess.run(
            [TOOLS / tool, *arguments],
            cwd=folder,
            capture_output=True,
            encoding="utf-8",
            timeout=600,
            check=False,
        )
        return json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        raise AuditError(f"{tool} did not end within ten minutes") from None
    except OSError as error:
        raise AuditError(f"{tool} cannot be started: {error.strerror}") from None
    except json.JSONDecodeError:
        last = done.stderr.strip().rpartition("\n")[2]
        raise AuditError(f"{tool} gave no report: {last[:300]}") from None


# Known vulnerabilities.


def vulnerabilities() -> str:
    """Look up every locked package on PyPI, including the tools of tests and audit."""
    apart = [f"{look_up([lock])} of {lock.stem}" for lock in APART]
    return ", ".join([look_up(LOCKS), *apart])


def look_up(locks: Sequence[Path]) -> str:
    """Look up the packages of locks that agree with each other."""
    lock = {name: version for path in locks for name, version in read_lock(path).items()}
    with tempfile.TemporaryDirectory() as folder:
        known = Path(folder) / "known-vulnerable.txt"
        known.write_text(f"{KNOWN_VULNERABLE} --hash=sha256:{64 * '0'}\n", encoding="utf-8")
        files = [argument for path in (*locks, known) for argument in ("-r", path)]
        # Without pip nothing is downloaded or run: the locks name every package.
        options = ["--strict", "--require-hashes", "--disable-pip", "--progress-spinner=off"]
        try:
            report = run("pip-audit", *options, "--format=json", *files)
        except AuditError as error:
            raise AuditError(f"{NOT_AUDITED} (does pypi.org answer?): {error}") from None
    return judge_vulnerabilities(report, lock)


def judge_vulnerabilities(report: Report, lock: Pins) -> str:
    """Raise AuditError unless every locked package was looked up and has no vulnerability."""
    # A skipped package has a reason instead of vulnerabilities.
    audited = [one for one in report["dependencies"] if "vulns" in one]
    answered = {canonicalize_name(one["name"]): one for one in audited}
    known = answered.pop(KNOWN_VULNERABLE.name, {"vulns": []})
    if not answered or not lock.keys() <= answered.keys():
        some = len(lock.keys() & answered.keys())
        raise AuditError(f"{NOT_AUDITED}: {some} of {len(lock)} packages were audited")
    if not known["vulns"]:
        raise AuditError(
            f"{NOT_AUDITED}: not even the vulnerabilities of {KNOWN_VULNERABLE} were found"
        )
    compare(pins((one["name"], one["version"]) for one in answered.values()), lock, "the report")
    vulnerable = [
        f"{name} {one['version']} ({', '.join(found['id'] for found in one['vulns'])})"
        for name, one in sorted(answered.items())
        if one["vulns"]
    ]
    if vulnerable:
        raise AuditError("known in " + ", ".join(vulnerable))
    return f"none known in {len(lock)} locked packages"


# Licences.


def licences() -> str:
    """Read the licences that the packages of the runtime declare."""
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    rules = settings["tool"]["audit"]
    # Include what pip-licenses counts as the system's: setuptools is one of the locked packages.
    options = ("--from=mixed", "--with-system", "--format=json")
    report = run("pip-licenses", f"--python={RUNTIME}", *options)
    return judge_licences(report, read_lock(LOCK), set(rules["licences"]), rules["reviewed"])


def judge_licences(
    report: Iterable[Report], lock: Pins, allowed: set[str], reviewed: dict[str, str]
) -> str:
    """Raise AuditError unless all are installed, under an allowed or reviewed licence."""
    found = {canonicalize_name(one["Name"]): one for one in report}
    found = {name: one for name, one in found.items() if name in lock}
    compare(pins((one["Name"], one["Version"]) for one in found.values()), lock, ".venv")
    strange = [
        f"{name} ({one['License']})"
        for name, one in sorted(found.items())
        if one["License"] != reviewed.get(name) and not is_allowed(one["License"], allowed)
    ]
    if strange:
        raise AuditError("not on the list in pyproject.toml: " + ", ".join(strange))
    return f"{len(found)} packages, all under allowed or reviewed licences"


def is_allowed(licence: str, allowed: set[str]) -> bool:
    """Return whether all parts of one alternative are allowed; brackets are not parsed."""
    return any(
        all(part.strip() in allowed for part in choice.replace(" AND ", ";").split(";"))
        for choice in licence.split(" OR ")
    )


# Secrets.


def secrets() -> str:
    """Search a copy of the tracked files, and two planted secrets."""
    names = tracked()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(REPOSITORY / name, folder / name)
        planted = "\n".join(PLANTED.values())
        (folder / PLANTED_FILE).write_text(planted, encoding="utf-8")
        # Unverified, or what looks like a key would be sent to its service.
        report = run("detect-secrets", "scan", "--no-verify", "--all-files", ".", folder=folder)
    baseline = json.loads(BASELINE.read_text(encoding="utf-8"))
    return f"{judge_secrets(report, baseline)} in {len(names)} tracked files"


def tracked() -> list[str]:
    """Return the tracked files, without the baseline, whose digests look like secrets."""
    done = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    names = [name for name in done.stdout.split("\0") if (REPOSITORY / name).is_file()]
    if done.returncode or not names:
        raise AuditError(f"git names no tracked files: {done.stderr.strip()}")
    return [name for name in names if REPOSITORY / name != BASELINE]


def judge_secrets(report: Report, baseline: Report) -> str:
    """Raise AuditError unless the planted secrets and only reviewed others were found."""
    results = dict(report["results"])
    noticed = {one["type"] for one in results.pop(PLANTED_FILE, [])}
    if overlooked := sorted(PLANTED.keys() - noticed):
        raise AuditError(f"{NOT_AUDITED}: a planted {' and '.join(overlooked)} was overlooked")
    reviewed = {
        (file, one["type"], one["hashed_secret"])
        for file, known in baseline["results"].items()
        for one in known
        if one.get("is_secret") is False
    }
    unreviewed = [
        f"{file} line {one['line_number']} ({one['type']})"
        for file, ones in sorted(results.items())
        for one in ones
        if (file, one["type"], one["hashed_secret"]) not in reviewed
    ]
    if unreviewed:
        raise AuditError("not reviewed in .ci/.secrets.baseline: " + ", ".join(unreviewed))
    return f"only the {sum(map(len, results.values()))} reviewed, made-up ones"


# The bill of materials.


def bill_of_materials() -> str:
    """Write the components of the runtime in CycloneDX."""
    BILL.unlink(missing_ok=True)
    options = ("--pyproject", REPOSITORY / "pyproject.toml", "--output-reproducible")
    lock = read_lock(LOCK)
    bill = only_locked(run("cyclonedx-py", "environment", *options, RUNTIME), lock)
    compare(pins((one["name"], one["version"]) for one in bill["components"]), lock, "the bill")
    BILL.parent.mkdir(exist_ok=True)
    BILL.write_text(json.dumps(bill, indent=2) + "\n", encoding="utf-8")
    where = BILL.relative_to(REPOSITORY)
    return f"{len(lock)} components in {where}, the same as in {LOCK.name}"


def only_locked(bill: Report, lock: Pins) -> Report:
    """Return a bill without pip and the test tools in the same environment."""
    kept = [one for one in bill["components"] if canonicalize_name(one["name"]) in lock]
    refs = {one["bom-ref"] for one in [bill["metadata"]["component"], *kept]}
    depend = [
        one | {"dependsOn": [ref for ref in one.get("dependsOn", []) if ref in refs]}
        for one in bill["dependencies"]
        if one["ref"] in refs
    ]
    return bill | {"components": kept, "dependencies": depend}


if __name__ == "__main__":
    sys.exit(main())
