//! Components as CycloneDX 1.6: <https://cyclonedx.org/docs/1.6/json/>.

use serde_json::{Value, json};

use super::Product;
use super::component::{Component, ComponentKind};

/// The document.
pub(super) fn document(product: &Product<'_>, components: &[Component]) -> Value {
    let own = format!("pkg:generic/{}@{}", product.name, product.version);
    let listed: Vec<Value> = components.iter().map(component).collect();
    let is_known = |purl: &String| components.iter().any(|one| one.purl == *purl);
    let mut dependencies = vec![json!({
        "ref": own,
        "dependsOn": components.iter().map(|one| one.purl.as_str()).collect::<Vec<_>>(),
    })];
    for one in components.iter().filter(|one| !one.uses.is_empty()) {
        let mut uses: Vec<&String> = one.uses.iter().filter(|purl| is_known(purl)).collect();
        uses.sort();
        uses.dedup();
        dependencies.push(json!({"ref": one.purl, "dependsOn": uses}));
    }
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": format!("urn:uuid:{}", product.uuid),
        "version": 1,
        "metadata": {
            "timestamp": product.time,
            "tools": {"components": [{"type": "application", "name": "drydock"}]},
            "component": {"type": "application", "bom-ref": own, "name": product.name, "version": product.version, "purl": own},
        },
        "components": listed,
        "dependencies": dependencies,
    })
}

fn component(one: &Component) -> Value {
    let mut value = json!({
        "type": "library",
        "bom-ref": one.purl,
        "name": one.name,
        "purl": one.purl,
        // Packages of the build are no part of what is shipped.
        "scope": if one.kind == ComponentKind::BuildPackage { "excluded" } else { "required" },
        "evidence": {"occurrences": one.evidence.iter().map(|place| json!({"location": place})).collect::<Vec<_>>()},
    });
    if let Some(version) = &one.version {
        value["version"] = version.as_str().into();
    }
    if let Some(sha256) = &one.sha256 {
        value["hashes"] = json!([{"alg": "SHA-256", "content": sha256}]);
    }
    if let Some(license) = &one.license {
        value["licenses"] = json!([{"expression": license}]);
    }
    value
}
