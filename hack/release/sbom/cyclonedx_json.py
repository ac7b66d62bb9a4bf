"""The bill of materials as CycloneDX 1.6 JSON."""

from uuid import NAMESPACE_URL, uuid5

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component as CycloneComponent
from cyclonedx.model.component import ComponentType
from cyclonedx.model.contact import OrganizationalEntity
from cyclonedx.output.json import JsonV1Dot6

from release.sbom.bill import Bill, Component
from release.versions import PROJECT

_LICENCES = LicenseFactory()


def cyclonedx_json(bill: Bill) -> str:
    """Return the document. The same bill gives the same text."""
    image = CycloneComponent(
        name=PROJECT,
        version=bill.version,
        type=ComponentType.CONTAINER,
        bom_ref="image",
        description=bill.name,
        licenses=[_LICENCES.make_from_string(bill.licence)],
    )
    components = {one.reference: _component(one) for one in bill.components}
    document = Bom(
        serial_number=uuid5(NAMESPACE_URL, f"{bill.name} {bill.version} {bill.created}"),
        metadata=BomMetaData(component=image, timestamp=bill.created),
        components=components.values(),
    )
    document.register_dependency(image, components.values())
    for one in bill.components:
        required = [components[other.reference] for other in bill.requirements_of(one)]
        document.register_dependency(components[one.reference], required)
    return JsonV1Dot6(document).output_as_string(indent=2) + "\n"


def _component(component: Component) -> CycloneComponent:
    licences = [_LICENCES.make_from_string(component.licence)] if component.licence else []
    return CycloneComponent(
        name=component.name,
        version=component.version,
        type=ComponentType.LIBRARY,
        bom_ref=component.reference,
        purl=component.purl,
        licenses=licences,
        supplier=OrganizationalEntity(name=component.supplier) if component.supplier else None,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=one) for one in component.sha256],
    )
