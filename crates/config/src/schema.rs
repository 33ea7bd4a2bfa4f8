//! The JSON Schemas of the declarations, for editors and for readers.

mod reference;

pub use reference::reference;

use super::images::ImagesFile;
use super::jobs::JobsFile;
use super::quarantine::QuarantineFile;
use super::release::ReleaseFile;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

/// The JSON Schema (draft 2020-12) of `ci/jobs.yaml`. It is kept in `xtask/schema/jobs.schema.json`.
pub fn jobs_schema() -> Value {
    root::<JobsFile>("jobs", "ci/jobs.yaml")
}

/// The JSON Schema (draft 2020-12) of `ci/quarantine.yaml`. It is kept in `xtask/schema/quarantine.schema.json`.
pub fn quarantine_schema() -> Value {
    root::<QuarantineFile>("quarantine", "ci/quarantine.yaml")
}

/// The JSON Schema (draft 2020-12) of `packaging/release.yaml`. It is kept in `xtask/schema/release.schema.json`.
pub fn release_schema() -> Value {
    root::<ReleaseFile>("release", "packaging/release.yaml")
}

/// The JSON Schema (draft 2020-12) of `docker/images.yaml`. It is kept in `xtask/schema/images.schema.json`.
pub fn images_schema() -> Value {
    root::<ImagesFile>("images", "docker/images.yaml")
}

fn root<T: JsonSchema>(word: &str, file: &str) -> Value {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>();
    schema.insert("$id".into(), format!("urn:drydock:schema:{word}").into());
    schema.insert("title".into(), file.into());
    schema.to_value()
}
