"""The bill of materials, in no format yet: the hashed requirements and the image joined."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from license_expression import ExpressionError, get_spdx_licensing
from packageurl import PackageURL

from release.errors import ReleaseError
from release.sbom.contents import PYTHON, Contents, DebianPackage, Distribution, NpmPackage
from release.sbom.requirements import Pin
from release.versions import PROJECT

_LICENSING = get_spdx_licensing()
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


@dataclass(frozen=True)
class Component:
    """A package of the image."""

    name: str
    version: str
    purl: PackageURL
    sha256: tuple[str, ...] = ()
    licence: str | None = None
    supplier: str | None = None
    requires: tuple[str, ...] = ()

    @property
    def reference(self) -> str:
        """Name the component within one bill: Debian and PyPI may have the same name."""
        return self.purl.to_string()


@dataclass(frozen=True)
class Bill:
    """The image and its components. `architecture` is Debian's word, such as amd64."""

    version: str
    created: datetime
    licence: str
    architecture: str | None
    components: tuple[Component, ...]

    @property
    def name(self) -> str:
        return f"{PROJECT} image" + (f" for {self.architecture}" if self.architecture else "")

    def requirements_of(self, component: Component) -> list[Component]:
        """Return the components that a component requires."""
        return [one for one in self.components if one.name in component.requires]


def bill_of(
    contents: Contents, pins: Mapping[str, Pin], *, version: str, created: datetime, licence: str
) -> Bill:
    """Join what is in the image with what the lock file pins.

    Raises ReleaseError where they differ: an SBOM with hashes of other files would be wrong.
    """
    _demand_agreement(contents, pins, version)
    components = [
        _python(contents),
        *(_distribution(one, pins, contents) for one in contents.distributions),
        *(_npm(one) for one in contents.npm),
        *(_debian(one, contents.debian_release) for one in contents.debian),
    ]
    return Bill(
        version=version,
        created=created,
        licence=licence,
        architecture=contents.architecture,
        components=tuple(components),
    )


def marker_environment(contents: Contents) -> dict[str, str]:
    """Return the values that the markers of the lock file have in the image."""
    minor = ".".join(contents.python_version.split(".")[:2])
    return {
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": _MACHINES.get(contents.architecture or "amd64", ""),
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": contents.python_version,
        "python_version": minor,
        "sys_platform": "linux",
    }


def _demand_agreement(contents: Contents, pins: Mapping[str, Pin], version: str) -> None:
    environment = marker_environment(contents)
    wanted = {pin.name: pin.version for pin in pins.values() if pin.applies(environment)}
    wanted[PROJECT] = version
    installed = {one.name: one.version for one in contents.distributions}
    problems = [
        f"{name}: {installed.get(name, 'absent')} in the image, {wanted.get(name, 'absent')} pinned"
        for name in sorted(wanted.keys() | installed.keys())
        if installed.get(name) != wanted.get(name)
    ]
    if problems:
        raise ReleaseError(
            f"the image was not built from these requirements: {'; '.join(problems)}"
        )


def _python(contents: Contents) -> Component:
    version = contents.python_version
    return Component(
        name=PYTHON,
        version=version,
        purl=PackageURL("generic", None, PYTHON, version),
        licence="PSF-2.0",
        supplier="Python Software Foundation",
    )


def _distribution(
    installed: Distribution, pins: Mapping[str, Pin], contents: Contents
) -> Component:
    pin = pins.get(installed.name)
    present = {one.name for one in contents.distributions}
    requires = sorted(
        name for name in present if name in pins and installed.name in pins[name].required_by
    )
    if installed.name == PROJECT:
        requires += [package.name for package in contents.npm]
    return Component(
        name=installed.name,
        version=installed.version,
        purl=PackageURL("pypi", None, installed.name, installed.version),
        sha256=pin.sha256 if pin else (),
        licence=_spdx_expression(installed.licence),
        requires=(*requires, PYTHON),
    )


def _spdx_expression(stated: str | None) -> str | None:
    """Return what a package states of its licence, if that is an SPDX expression."""
    if not stated or "\n" in stated:
        return None
    try:
        parsed = _LICENSING.parse(stated, validate=True, strict=True)
    except ExpressionError:
        return None
    return str(parsed)


def _npm(package: NpmPackage) -> Component:
    scope, _, name = package.name.rpartition("/")
    return Component(
        name=package.name,
        version=package.version,
        purl=PackageURL("npm", scope or None, name, package.version),
        licence=_spdx_expression(package.licence),
    )


def _debian(package: DebianPackage, release: str | None) -> Component:
    qualifiers = {"arch": package.architecture} | (
        {"distro": f"debian-{release}"} if release else {}
    )
    return Component(
        name=package.name,
        version=package.version,
        purl=PackageURL("deb", "debian", package.name, package.version, qualifiers),
        supplier=package.maintainer,
    )
