"""Makes the release in dist/ and tries it as a stranger would: `make release-check`.

Wheel and sdist; the wheel in an empty environment, with the demo; the parts as a CycloneDX SBOM and
as a list of licences; known weaknesses, where their database can be reached.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from deploy.release import licences
from deploy.release.packages import ROOT, build, unpack, wrong_with_sdist, wrong_with_wheel

DIST = ROOT / "dist"


def main() -> int:
    wheel, sdist = build(ROOT, DIST, "wheel"), build(ROOT, DIST, "sdist")
    say(f"built {wheel.name} ({wheel.stat().st_size} bytes), {sdist.name}")
    wrong = [*wrong_with_wheel(wheel), *wrong_with_sdist(sdist)]
    with tempfile.TemporaryDirectory(prefix="bridgetender-release-") as name:
        aside = Path(name)
        aside.chmod(0o711)  # the demo's PostgreSQL is another user's, if root runs this
        if build(unpack(sdist, aside), aside / "again", "wheel").read_bytes() != wheel.read_bytes():
            wrong.append("the sdist builds another wheel")
        python = install(wheel, aside / "environment")
        wrong += tried(python, aside)
        wrong += described(python, DIST / wheel.name.removesuffix("-py3-none-any.whl"))
    wrong += audited()
    for each in wrong:
        say(f"WRONG: {each}")
    say("the release is good" if not wrong else "do not release this")
    return 1 if wrong else 0


def install(wheel: Path, environment: Path) -> Path:
    """Return the Python of a new environment with the pinned packages and *wheel*, no more."""
    made = [sys.executable, "-m", "venv", "--without-pip", str(environment)]
    subprocess.run(made, check=True)
    python = environment / "bin/python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q"]
    locked = ["--no-compile", "--require-hashes", "-r", str(ROOT / "requirements.lock")]
    subprocess.run([*pip, *locked], check=True)
    subprocess.run([*pip, "--no-deps", str(wheel)], check=True)
    say("installed it into an empty environment, from requirements.lock")
    return python


def tried(python: Path, aside: Path) -> Iterator[str]:
    """Run the demo from the wheel, where no source is near; yield what went wrong."""
    command = [str(python.with_name("bridgetender")), "demo", "--once", "--json"]
    command += ["--state-dir", str(aside / "state")]
    said = subprocess.run(command, cwd=aside, capture_output=True, text=True, check=False)
    report = json.loads(said.stdout.splitlines()[-1]) if said.returncode == 0 else {}
    if report.get("live") != 6 or report.get("secrets_leaked") != 0:
        yield f"the demo ended with {said.returncode}: {said.stdout}{said.stderr}"
    else:
        say(f"demo: {said.stdout.splitlines()[-1]}")


def described(python: Path, stem: Path) -> Iterator[str]:
    """Write the SBOM and the licences; yield which may not be shipped."""
    sbom = stem.with_name(f"{stem.name}.cdx.json")
    command = [sys.executable, "-m", "cyclonedx_py", "environment", str(python)]
    command += ["--pyproject", str(ROOT / "pyproject.toml"), "--output-reproducible"]
    subprocess.run([*command, "-o", str(sbom)], check=True, capture_output=True)
    found = licences.parts(next(python.parent.parent.glob("lib/python*/site-packages")))
    listed = stem.with_name(f"{stem.name}-licences.md")
    listed.write_text("".join(f"{line}\n" for line in licences.page(found)))
    count = len(json.loads(sbom.read_text())["components"])
    say(f"wrote {sbom.name} ({count} components), {listed.name} ({len(found)} packages)")
    for part in found:
        if part.refused or not part.licence:
            yield f"{part.name} is under {part.licence or 'an unknown licence'}: see licences.py"


def audited() -> Iterator[str]:
    """Yield known weaknesses of the pinned packages; say so where nobody could be asked."""
    command = [sys.executable, "-m", "pip_audit", "--no-deps", "--disable-pip", "-f", "json"]
    command += ["--progress-spinner", "off", "-r", str(ROOT / "requirements.lock")]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    found = json.loads(run.stdout)["dependencies"] if run.stdout.startswith("{") else []
    asked = [each for each in found if "vulns" in each]
    if not asked:
        say("pip-audit: its database cannot be reached from here: NOTHING was looked up")
        return
    say(f"pip-audit: looked up {len(asked)} of {len(found)} packages")
    for each in asked:
        for weakness in each["vulns"]:
            mended = ", ".join(weakness["fix_versions"]) or "nothing yet"
            yield f"{each['name']} {each['version']}: {weakness['id']}, mended in {mended}"


def say(words: str) -> None:
    print(words, flush=True)  # noqa: T201 - people watch it


if __name__ == "__main__":
    sys.exit(main())
