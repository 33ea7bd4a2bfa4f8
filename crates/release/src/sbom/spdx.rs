//! Components as SPDX 2.3: <https://spdx.github.io/spdx-spec/v2.3/>.

use serde_json::{Value, json};

use super::Product;
use super::component::{Component, ComponentKind};

/// What is not known.
const NOTHING: &str = "NOASSERTION";
/// The identifier of the product.
const OWN: &str = "SPDXRef-Product";

/// The document.
pub(super) fn document(product: &Product<'_>, components: &[Component]) -> Value {
    let id = |at: usize| format!("SPDXRef-Package-{}", at + 1);
    let place = |purl: &String| components.iter().position(|one| one.purl == *purl);
    let mut packages = vec![json!({
        "SPDXID": OWN, "name": product.name, "versionInfo": product.version, "downloadLocation": NOTHING,
        "filesAnalyzed": false, "licenseConcluded": NOTHING, "licenseDeclared": NOTHING, "copyrightText": NOTHING,
        "primaryPackagePurpose": "APPLICATION",
    })];
    let mut relationships = vec![relationship("SPDXRef-DOCUMENT", "DESCRIBES", OWN)];
    for (at, one) in components.iter().enumerate() {
        packages.push(package(one, &id(at)));
        relationships.push(match one.kind {
            ComponentKind::BuildPackage => relationship(&id(at), "BUILD_DEPENDENCY_OF", OWN),
            ComponentKind::Crate => relationship(OWN, "DEPENDS_ON", &id(at)),
            ComponentKind::Submodule | ComponentKind::Vendored => relationship(OWN, "CONTAINS", &id(at)),
        });
        let mut uses: Vec<usize> = one.uses.iter().filter_map(place).collect();
        uses.sort_unstable();
        uses.dedup();
        relationships.extend(uses.into_iter().map(|used| relationship(&id(at), "DEPENDS_ON", &id(used))));
    }
    json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": format!("{}-{}", product.name, product.version),
        "documentNamespace": format!("https://spdx.org/spdxdocs/{}-{}-{}", product.name, product.version, product.uuid),
        "creationInfo": {"created": product.time, "creators": ["Tool: drydock"]},
        "packages": packages,
        "relationships": relationships,
    })
}

fn relationship(from: &str, kind: &str, to: &str) -> Value {
    json!({"spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to})
}

fn package(one: &Component, id: &str) -> Value {
    let mut value = json!({
        "SPDXID": id,
        "name": one.name,
        "downloadLocation": NOTHING,
        "filesAnalyzed": false,
        "licenseConcluded": NOTHING,
        "licenseDeclared": one.license.as_deref().unwrap_or(NOTHING),
        "copyrightText": NOTHING,
        "externalRefs": [{
            "referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": one.purl,
        }],
        "comment": format!("named by {}", one.evidence.join(", ")),
    });
    if let Some(version) = &one.version {
        value["versionInfo"] = version.as_str().into();
    }
    if let Some(sha256) = &one.sha256 {
        value["checksums"] = json!([{"algorithm": "SHA256", "checksumValue": sha256}]);
    }
    value
}
