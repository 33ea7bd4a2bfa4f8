//! Resources of the machine that tests share by number, such as GPUs (ctest(1), "Resource Allocation").
//!
//! Without a specification CTest pays no attention to them, and Drydock neither. With one, tests that need the same type of
//! resource do not run beside each other, so each gets the first ones that have enough slots.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::super::{Context, ListError};
use super::text;
use drydock_config::jobs::ListedTest;

/// The option of ctest that names the specification.
const OPTION: &str = "--resource-spec-file";

/// The resources of this machine, by type.
#[derive(Default)]
pub(super) struct Resources {
    /// `None` without a specification.
    types: Option<BTreeMap<String, Vec<One>>>,
}

#[derive(Deserialize, Clone)]
struct One {
    id: String,
    #[serde(default = "one")]
    slots: u64,
}

fn one() -> u64 {
    1
}

#[derive(Deserialize)]
struct Specification {
    local: Vec<BTreeMap<String, Vec<One>>>,
}

/// What one process of a test needs: a type and a number of slots, in the order of the suite.
pub(super) type Group = Vec<(String, u64)>;

/// The groups of `RESOURCE_GROUPS`.
pub(super) fn groups(value: &Value) -> Vec<Group> {
    let requirement = |one: &Value| Some((text(one.get(".type")?), one.get("slots")?.as_u64()?));
    let group =
        |one: &Value| one["requirements"].as_array().map(|all| all.iter().filter_map(requirement).collect::<Group>());
    value.as_array().map(|all| all.iter().filter_map(group).collect()).unwrap_or_default()
}

impl Resources {
    /// Those of the specification that `args` names.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn declared(context: &Context<'_>, build: &Path) -> Result<Resources, ListError> {
        let args = &context.source.args;
        let after = args.iter().position(|arg| arg == OPTION).and_then(|at| args.get(at + 1)).cloned();
        let joined = args.iter().find_map(|arg| arg.strip_prefix(OPTION)?.strip_prefix('=')).map(str::to_owned);
        let Some(file) = after.or(joined) else { return Ok(Resources::default()) };
        let path: PathBuf = build.join(file);
        let text = std::fs::read_to_string(&path).map_err(|error| ListError::File { path: path.clone(), error })?;
        let specification: Specification = serde_json::from_str(&text).map_err(|error| ListError::Malformed {
            command: path.display().to_string(),
            problem: error.to_string(),
        })?;
        Ok(Resources { types: specification.local.into_iter().next().or_else(|| Some(BTreeMap::new())) })
    }

    /// Gives a test what it needs.
    pub(super) fn give(&self, groups: &[Group], test: &mut ListedTest) {
        let Some(types) = &self.types else { return };
        if groups.is_empty() {
            return;
        }
        let mut left = types.clone();
        test.env.insert("CTEST_RESOURCE_GROUP_COUNT".into(), groups.len().to_string());
        for (number, group) in groups.iter().enumerate() {
            let mut names: Vec<&str> = group.iter().map(|(kind, _)| kind.as_str()).collect();
            names.sort_unstable();
            names.dedup();
            test.env.insert(format!("CTEST_RESOURCE_GROUP_{number}"), names.join(","));
            let mut given: BTreeMap<&str, Vec<String>> = BTreeMap::new();
            for (kind, slots) in group {
                let found = left.get_mut(kind).and_then(|all| all.iter_mut().find(|one| one.slots >= *slots));
                let Some(one) = found else {
                    test.disabled = Some(format!("this machine does not have {slots} slots of one of its {kind} left"));
                    return;
                };
                one.slots -= slots;
                given.entry(kind).or_default().push(format!("id:{},slots:{slots}", one.id));
                test.locks.push(format!("resource-{kind}"));
            }
            for (kind, all) in given {
                test.env.insert(format!("CTEST_RESOURCE_GROUP_{number}_{}", kind.to_uppercase()), all.join(";"));
            }
        }
        test.locks.sort();
        test.locks.dedup();
    }
}
