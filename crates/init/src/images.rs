//! `docker/images.yaml` for the images of a project's Dockerfiles.

use std::path::Path;

use crate::draft::{Field, Value, yaml};
use crate::facts::Facts;
use drydock_config::diagnostic::Diagnostics;
use drydock_config::images::Images;

/// The file, relative to the project.
pub const FILE: &str = "docker/images.yaml";

/// A Dockerfile all of whose images are pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its path.
    pub dockerfile: String,
    /// The program that a container starts, if the Dockerfile names it as a list of words.
    pub program: Option<String>,
}

impl Image {
    /// Reads what the declaration needs of a Dockerfile.
    pub fn read(dockerfile: &str, text: &str) -> Image {
        let list = |verb: &str| {
            let rest = text.lines().rev().find_map(|line| line.trim().strip_prefix(verb))?;
            let words: Vec<&str> = rest.trim().strip_prefix('[')?.strip_suffix(']')?.split(',').collect();
            let first = words.first()?.trim().trim_matches('"');
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
            (!first.is_empty() && first.bytes().all(fits)).then(|| first.to_owned())
        };
        Image { dockerfile: dockerfile.to_owned(), program: list("ENTRYPOINT ").or_else(|| list("CMD ")) }
    }
}

/// The text of the declaration; none if no Dockerfile can be built as it is.
pub fn text(facts: &Facts, images: &[Image], head: &[String]) -> Option<String> {
    if images.is_empty() {
        return None;
    }
    let project = name(&facts.name.0);
    let (registry, why) = match facts.git.on_github() {
        Some((owner, repository)) => (
            format!("ghcr.io/{}/{}", owner.to_lowercase(), repository.to_lowercase()),
            "the registry of GitHub, since the remote `origin` is there",
        ),
        None => (format!("registry.example/{project}"), "saw no registry; write yours"),
    };
    let repositories = vec![
        Field::text("nightly", format!("{registry}/nightly")),
        Field::text("release", format!("{registry}/{project}")),
    ];
    let mut declared: Vec<Field> = Vec::new();
    for image in images {
        let own = image.dockerfile.rsplit_once('/').and_then(|(directory, _)| directory.rsplit('/').next());
        let suffix = image.dockerfile.rsplit('/').next().and_then(|file| file.strip_prefix("Dockerfile."));
        let mut key = name(suffix.or(own.filter(|own| !["docker", "."].contains(own))).unwrap_or(&project));
        while declared.iter().any(|field| field.key == key) {
            key.push_str("-2");
        }
        let program = image.program.clone().unwrap_or_else(|| project.clone());
        let smoke_test = vec![
            Field::list("run", [program.as_str(), "--version"]),
            Field::text("expect", format!("{} {{version}}", program.rsplit('/').next().unwrap_or(&program))),
        ];
        let mut fields =
            vec![Field::new("from", Value::Inline(vec![Field::text("dockerfile", image.dockerfile.clone())]))];
        if declared.len() + 1 < images.len() || images.len() > 1 {
            let own = vec![
                Field::text("nightly", format!("{registry}/{key}-nightly")),
                Field::text("release", format!("{registry}/{key}")),
            ];
            fields.push(Field::new("repositories", Value::Inline(own)));
        }
        let why = "a guess: the exact output of the program in the image";
        fields.push(Field::new("smoke-test", Value::Inline(smoke_test)).because([why]));
        declared.push(
            Field::new(key, Value::Map(fields)).because([format!("saw {}, whose images are pinned", image.dockerfile)]),
        );
    }
    let mut fields = Vec::new();
    if images.len() == 1 {
        fields.push(Field::new("repositories", Value::Map(repositories)).because([why]));
    }
    fields.push(Field::new("images", Value::Map(declared)));
    Some(yaml(head, &fields))
}

/// The problems of the text.
///
/// # Errors
/// All problems at once.
pub fn check(text: &str) -> Result<(), Diagnostics> {
    Images::parse(text, Path::new(FILE)).map(drop)
}

/// A name as images have it.
fn name(text: &str) -> String {
    let fits = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "._-".contains(letter);
    let lower = text.to_lowercase();
    let name: String = lower.chars().map(|letter| if fits(letter) { letter } else { '-' }).take(60).collect();
    let name = name.trim_matches(['-', '.', '_']).to_owned();
    if name.is_empty() { "image".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::GitFacts;
    use crate::tree::Tree;

    #[test]
    fn images_are_declared_from_dockerfiles() {
        let git = GitFacts { remote: Some("git@github.com:Big/Lamp.git".into()), ..GitFacts::default() };
        let facts = Facts::find(&Tree::default(), &git);
        let one = [Image::read("Dockerfile", "FROM x\nENTRYPOINT [\"/usr/bin/lampd\", \"-v\"]\n")];
        let text = super::text(&facts, &one, &[]).unwrap();
        assert!(text.contains("nightly: ghcr.io/big/lamp/nightly") && text.contains("lampd {version}"), "{text}");
        check(&text).unwrap();
        let two = [one[0].clone(), Image::read("docker/web/Dockerfile", "FROM x\n")];
        check(&super::text(&facts, &two, &[]).unwrap()).unwrap();
        assert!(super::text(&facts, &[], &[]).is_none());
    }
}
