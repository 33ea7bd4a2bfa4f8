//! The JSON Schemas of the declarations, for editors and for readers.

use super::jobs::JobsFile;
use schemars::generate::SchemaSettings;
use serde_json::Value;

/// The JSON Schema (draft 2020-12) of `ci/jobs.yaml`. It is kept in `xtask/schema/jobs.schema.json`.
pub fn jobs_schema() -> Value {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<JobsFile>();
    schema.insert("$id".into(), "urn:drydock:schema:jobs".into());
    schema.insert("title".into(), "ci/jobs.yaml".into());
    schema.to_value()
}
