"""The bill of materials as SPDX 2.3 JSON."""

import io
import re
from datetime import UTC
from uuid import NAMESPACE_URL, uuid5

from license_expression import get_spdx_licensing
from spdx_tools.spdx.model import (
    Actor,
    ActorType,
    Checksum,
    ChecksumAlgorithm,
    CreationInfo,
    Document,
    ExternalPackageRef,
    ExternalPackageRefCategory,
    Package,
    PackagePurpose,
    Relationship,
    RelationshipType,
    SpdxNoAssertion,
)
from spdx_tools.spdx.writer.json.json_writer import write_document_to_stream

from release.sbom.bill import Bill, Component
from release.versions import PROJECT

_DOCUMENT = "SPDXRef-DOCUMENT"
_IMAGE = "SPDXRef-image"
_LICENSING = get_spdx_licensing()


def spdx_json(bill: Bill) -> str:
    """Return the document, which the library validates. The same bill gives the same text."""
    image = Package(
        spdx_id=_IMAGE,
        name=PROJECT,
        version=bill.version,
        download_location=SpdxNoAssertion(),
        files_analyzed=False,
        primary_package_purpose=PackagePurpose.CONTAINER,
        license_declared=_LICENSING.parse(bill.licence),
        description=bill.name,
    )
    identifiers = {one.reference: _identifier(one) for one in bill.components}
    relationships = [Relationship(_DOCUMENT, RelationshipType.DESCRIBES, _IMAGE)]
    for one in bill.components:
        own = identifiers[one.reference]
        relationships.append(Relationship(_IMAGE, RelationshipType.CONTAINS, own))
        relationships += [
            Relationship(own, RelationshipType.DEPENDS_ON, identifiers[other.reference])
            for other in bill.requirements_of(one)
        ]
    document = Document(
        creation_info=CreationInfo(
            spdx_version="SPDX-2.3",
            spdx_id=_DOCUMENT,
            name=f"{bill.name} {bill.version}",
            document_namespace=uuid5(
                NAMESPACE_URL, f"{bill.name} {bill.version} {bill.created}"
            ).urn,
            creators=[Actor(ActorType.TOOL, f"{PROJECT}-{bill.version}")],
            created=bill.created.astimezone(UTC).replace(tzinfo=None),
        ),
        packages=[image, *(_package(one, identifiers[one.reference]) for one in bill.components)],
        relationships=relationships,
    )
    stream = io.StringIO()
    write_document_to_stream(document, stream, validate=True)
    return stream.getvalue() + "\n"


def _identifier(component: Component) -> str:
    name = f"{component.purl.type}-{component.name}-{component.version}"
    return f"SPDXRef-{re.sub(r'[^A-Za-z0-9.-]', '-', name)}"


def _package(component: Component, identifier: str) -> Package:
    return Package(
        spdx_id=identifier,
        name=component.name,
        version=component.version,
        download_location=SpdxNoAssertion(),
        files_analyzed=False,
        supplier=_supplier(component.supplier),
        license_declared=(
            _LICENSING.parse(component.licence) if component.licence else SpdxNoAssertion()
        ),
        checksums=[Checksum(ChecksumAlgorithm.SHA256, one) for one in component.sha256],
        external_references=[
            ExternalPackageRef(
                ExternalPackageRefCategory.PACKAGE_MANAGER, "purl", component.reference
            )
        ],
    )


def _supplier(name: str | None) -> Actor | SpdxNoAssertion:
    return Actor(ActorType.ORGANIZATION, name) if name else SpdxNoAssertion()
