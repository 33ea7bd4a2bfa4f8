//! The images of a project's Dockerfiles, as far as they can be built as they are.

use drydock_base::text::plural;
use drydock_init::facts::Facts;
use drydock_init::images::{self, Image};
use drydock_init::tree::Tree;
use drydock_oci::dockerfile::Dockerfile;

/// The most Dockerfiles that are read.
const MOST: usize = 20;
/// The most Dockerfiles that are named as not declared.
const MOST_REMARKS: usize = 2;

/// The declaration; none if no Dockerfile is pinned.
pub(super) fn text(facts: &Facts, tree: &Tree, head: &[String]) -> Option<String> {
    let read = |path: &String| {
        let text = tree.text(path)?;
        let dockerfile = Dockerfile::parse(&text).ok()?;
        // The declared base would have to be chosen by somebody.
        (!dockerfile.uses_base).then(|| Image::read(path, &text))
    };
    let found: Vec<Image> = facts.dockerfiles.iter().take(MOST).filter_map(read).collect();
    images::text(facts, &found, head)
}

/// Why Dockerfiles are not declared, one sentence each.
pub(super) fn remarks(facts: &Facts, tree: &Tree) -> Vec<String> {
    let remark = |path: &String| {
        let text = tree.text(path)?;
        match Dockerfile::parse(&text) {
            Ok(dockerfile) if dockerfile.uses_base => Some(format!(
                "{path} is not declared: it takes its base as an argument, which docker/images.yaml has to name"
            )),
            Ok(_) => None,
            Err(problems) => {
                Some(format!("{path} is not declared as an image: {}", problems.first().map_or("", String::as_str)))
            }
        }
    };
    let mut remarks: Vec<String> = facts.dockerfiles.iter().take(MOST).filter_map(remark).collect();
    let more = remarks.len().saturating_sub(MOST_REMARKS);
    remarks.truncate(MOST_REMARKS);
    if more > 0 {
        let are = if more == 1 { "is" } else { "are" };
        remarks.push(format!("{} {are} not declared as images either", plural(more, "other Dockerfile")));
    }
    remarks
}
