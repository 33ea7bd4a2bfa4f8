"""Builds the sdist and the wheel of a package, and unpacks them: python3 build.py PACKAGE VERSION OUTPUT.

They are packed again by Drydock, so that their bytes depend on no version of Python's gzip and zip.
"""

import email.parser
import pathlib
import shutil
import subprocess
import sys
import tarfile
import zipfile

package, version, output = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
try:
    import build  # noqa: F401
    from packaging.version import InvalidVersion, Version
except ImportError as error:
    sys.exit(f"{error}; install it with `apt-get install python3-build`, or with pip: build")
if not (pathlib.Path(package) / "pyproject.toml").is_file():
    sys.exit(f"{package} has no pyproject.toml; correct `packages` in packaging/release.yaml")
built = output / "built"
# No network: what builds the package is what is installed, and not what is the newest on this day.
command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(built), package]
done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
if done.returncode != 0:
    sys.exit(done.stdout[-4000:])
files = sorted(built.iterdir())
if sorted(file.name.endswith(".whl") for file in files) != [False, True]:
    sys.exit(f"expected an sdist and a wheel, but got {', '.join(file.name for file in files)}")
for file in files:
    content = output / file.name
    if file.name.endswith(".whl"):
        with zipfile.ZipFile(file) as archive:
            archive.extractall(content)
        metadata = next(content.glob("*.dist-info/METADATA"))
        if "-none-any" not in file.name:
            sys.exit(f"{file.name} is for one kind of machine; only packages that are the same everywhere can be released")
    elif file.name.endswith(".tar.gz"):
        with tarfile.open(file) as archive:
            archive.extractall(content)
        metadata = next(content.glob("*/PKG-INFO"))
    else:
        sys.exit(f"{file.name} is neither a wheel nor an sdist")
    found = email.parser.HeaderParser().parsestr(metadata.read_text(encoding="utf-8"))["Version"]
    try:
        is_same = Version(found) == Version(version)
    except InvalidVersion as error:
        sys.exit(f"{error}; PyPI does not accept it")
    if not is_same:
        sys.exit(f"{file.name} has the version {found}, but this is the release {version}; "
                 f"raise it in {package}/pyproject.toml, and name that file under `version.files`")
shutil.rmtree(built)
