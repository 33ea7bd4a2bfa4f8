//! The JSON Schemas of the declarations, for editors and for readers.

use super::jobs::JobsFile;
use super::quarantine::QuarantineFile;
use schemars::generate::SchemaSettings;
use serde_json::Value;

/// The JSON Schema (draft 2020-12) of `ci/jobs.yaml`. It is kept in `xtask/schema/jobs.schema.json`.
pub fn jobs_schema() -> Value {
    schema::<JobsFile>("jobs", "ci/jobs.yaml")
}

/// The JSON Schema (draft 2020-12) of `ci/quarantine.yaml`. It is kept in `xtask/schema/quarantine.schema.json`.
pub fn quarantine_schema() -> Value {
    schema::<QuarantineFile>("quarantine", "ci/quarantine.yaml")
}

fn schema<T: schemars::JsonSchema>(name: &str, title: &str) -> Value {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>();
    schema.insert("$id".into(), format!("urn:drydock:schema:{name}").into());
    schema.insert("title".into(), title.into());
    schema.to_value()
}
