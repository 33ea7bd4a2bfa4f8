//! The images in a Dockerfile. All of them must be pinned by digest, so that a build depends on the commit only.
//!
//! https://docs.docker.com/reference/dockerfile/: FROM, ARG before it, COPY --from, RUN --mount, parser directives.

use drydock_config::images::{Digest, Repository};

/// The known instructions; others could have a special meaning for an engine.
const VERBS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];
/// The build argument for the declared base image.
const BASE: &str = "BASE";

/// An image of a registry that a Dockerfile names by its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pinned {
    /// The reference in the Dockerfile.
    pub written: String,
    /// The repository.
    pub repository: Repository,
    /// The digest.
    pub digest: Digest,
}

/// The base of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StageBase {
    /// No base image.
    Scratch,
    /// The declared base image.
    Declared,
    /// An image of a registry, by its position in [`Dockerfile::pinned`].
    Pinned(usize),
}

/// A Dockerfile whose images are all pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    text: String,
    /// The pinned images.
    pub pinned: Vec<Pinned>,
    /// The base of the last stage.
    pub base: StageBase,
    /// True if any stage uses the declared base image.
    pub uses_base: bool,
}

impl Dockerfile {
    /// Parses and checks a Dockerfile.
    ///
    /// # Errors
    /// All problems, each with its line.
    pub fn parse(text: &str) -> Result<Dockerfile, Vec<String>> {
        let mut parser = Parser::default();
        parser.directives(text);
        for Instruction { line, text, ends_twice } in instructions(text) {
            if ends_twice {
                let what = format!("line {line}: engines disagree whether a line that ends in \\\\ is continued");
                parser.problems.push(format!("{what}; change the end of the line"));
            }
            let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
            parser.instruction(line, &words);
        }
        let Some((_, base)) = parser.stages.pop() else {
            parser.problems.push("there is no FROM line".into());
            return Err(parser.problems);
        };
        if !parser.problems.is_empty() {
            return Err(parser.problems);
        }
        let Parser { pinned, uses_base, .. } = parser;
        Ok(Dockerfile { text: text.to_owned(), pinned, base, uses_base })
    }

    /// Returns the Dockerfile with other names for the pinned images.
    pub fn with_names(&self, name: impl Fn(&Pinned) -> String) -> String {
        // The longest first, as one may be the beginning of another.
        let mut all: Vec<&Pinned> = self.pinned.iter().collect();
        all.sort_by_key(|pinned| std::cmp::Reverse(pinned.written.len()));
        all.iter().fold(self.text.clone(), |text, pinned| text.replace(&pinned.written, &name(pinned)))
    }
}

#[derive(Default)]
struct Parser {
    /// The names and bases of the stages.
    stages: Vec<(Option<String>, StageBase)>,
    pinned: Vec<Pinned>,
    has_arg: bool,
    uses_base: bool,
    problems: Vec<String>,
}

impl Parser {
    /// Parses directives: comments at the top that change the syntax.
    fn directives(&mut self, text: &str) {
        if text.starts_with("#!") || text.starts_with('\u{feff}') {
            let what = "line 1: it starts with #! or a byte order mark, after which engines find other directives";
            self.problems.push(format!("{what}; remove it"));
            return;
        }
        for (number, line) in (1..).zip(text.lines()) {
            let Some((name, value)) = line.trim().strip_prefix('#').and_then(|rest| rest.split_once('=')) else {
                return;
            };
            match name.trim().to_ascii_lowercase().as_str() {
                "syntax" if !value.contains("@sha256:") => {
                    let what = format!("line {number}: the frontend {} has no digest", value.trim());
                    self.problems.push(format!("{what}; remove the line, or pin it by @sha256:…"));
                }
                "escape" if value.trim() != "\\" => {
                    self.problems.push(format!("line {number}: another escape character is not supported"));
                }
                _ => {}
            }
        }
    }

    fn instruction(&mut self, line: usize, words: &[String]) {
        let Some((verb, rest)) = words.split_first() else { return };
        let upper = verb.to_ascii_uppercase();
        if matches!(upper.as_str(), "ADD" | "COPY" | "RUN") && rest.iter().any(|word| word.contains("<<")) {
            let what = format!("line {line}: {upper} with <<: engines disagree where a here-document ends");
            self.problems.push(format!("{what}; commit it as a file, and run or copy that"));
        }
        match upper.as_str() {
            "ONBUILD" => self.instruction(line, rest),
            "ARG" if self.stages.is_empty() => {
                self.has_arg |= rest.iter().any(|word| word.split('=').next() == Some(BASE));
            }
            "FROM" => self.from(line, rest),
            "COPY" | "ADD" | "RUN" => {
                for flag in rest.iter().take_while(|word| word.starts_with("--")) {
                    if flag.contains(['"', '\'', '\\']) {
                        self.problems.push(format!("line {line}: the option {flag}: write it without quotes"));
                        continue;
                    }
                    let mount = flag.strip_prefix("--mount=").unwrap_or_default().split(',');
                    let keys = mount.filter_map(|part| part.split_once('='));
                    let mounted = keys.filter(|(key, _)| key.eq_ignore_ascii_case("from")).map(|(_, from)| from);
                    for from in flag.strip_prefix("--from=").into_iter().chain(mounted) {
                        self.source(line, from);
                    }
                }
                let is_remote = |word: &String| {
                    ["http://", "https://", "git://", "git@", "ssh://"].iter().any(|start| word.starts_with(start))
                };
                let has_sum = rest.iter().any(|word| word.starts_with("--checksum=sha256:"));
                if verb.eq_ignore_ascii_case("ADD") && rest.iter().any(is_remote) && !has_sum {
                    self.problems.push(format!(
                        "line {line}: ADD downloads a file that may change; add --checksum=sha256:…, or commit the file"
                    ));
                }
            }
            known if VERBS.contains(&known) => {}
            _ => self.problems.push(format!("line {line}: unknown instruction {verb}")),
        }
    }

    fn from(&mut self, line: usize, words: &[String]) {
        let flags: Vec<&String> = words.iter().take_while(|word| word.starts_with("--")).collect();
        if let Some(flag) = flags.first() {
            self.problems.push(format!(
                "line {line}: FROM {flag}: the platform is declared in docker/images.yaml; remove the option"
            ));
        }
        let mut rest = words.iter().skip(flags.len());
        let image = rest.next().map_or("", String::as_str);
        let name = match (rest.next(), rest.next()) {
            (Some(word), Some(name)) if word.eq_ignore_ascii_case("as") => Some(name.to_ascii_lowercase()),
            _ => None,
        };
        let base = self.base(line, image);
        self.stages.push((name, base.unwrap_or(StageBase::Scratch)));
    }

    fn base(&mut self, line: usize, image: &str) -> Option<StageBase> {
        if image == "${BASE}" || image == "$BASE" {
            self.uses_base = true;
            if !self.has_arg {
                self.problems.push(format!("line {line}: FROM {image} needs a line `ARG BASE` before the first FROM"));
            }
            return Some(StageBase::Declared);
        }
        if image == "scratch" {
            return Some(StageBase::Scratch);
        }
        if let Some(stage) = self.stage(image) {
            return Some(stage);
        }
        self.pin(line, "FROM", image).map(StageBase::Pinned)
    }

    /// Finds an earlier stage by name.
    fn stage(&self, name: &str) -> Option<StageBase> {
        let name = name.to_ascii_lowercase();
        let found = self.stages.iter().rev().find(|(stage, _)| stage.as_deref() == Some(name.as_str()));
        found.map(|(_, base)| base.clone())
    }

    /// Checks the source of files outside of the context.
    fn source(&mut self, line: usize, from: &str) {
        let by_number = from.parse::<usize>().is_ok_and(|number| number + 1 < self.stages.len());
        if !by_number && self.stage(from).is_none() {
            self.pin(line, "--from", from);
        }
    }

    fn pin(&mut self, line: usize, what: &str, image: &str) -> Option<usize> {
        let parsed = image.rsplit_once('@').and_then(|(name, digest)| {
            let untagged = match name.rsplit_once(':') {
                Some((repository, tag)) if !tag.contains('/') => repository,
                Some(_) | None => name,
            };
            Some((untagged.parse::<Repository>().ok()?, digest.parse::<Digest>().ok()?))
        });
        let Some((repository, digest)) = parsed else {
            let expected =
                "`scratch`, an earlier stage, `${BASE}` (the declared base image), or an image pinned by @sha256:…";
            self.problems.push(format!("line {line}: {what} {image} is not pinned; expected {expected}"));
            return None;
        };
        let at = self.pinned.iter().position(|one| one.written == image);
        Some(at.unwrap_or_else(|| {
            self.pinned.push(Pinned { written: image.to_owned(), repository, digest });
            self.pinned.len() - 1
        }))
    }
}

struct Instruction {
    /// The number of the first line.
    line: usize,
    text: String,
    /// True if one of its lines ends in two backslashes.
    ends_twice: bool,
}

/// Splits a Dockerfile into instructions, with their continuation lines.
fn instructions(text: &str) -> Vec<Instruction> {
    let is_none = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    let blank = [' ', '\t', '\r'];
    let mut all = Vec::new();
    let mut lines = (1..).zip(text.lines());
    while let Some((line, first)) = lines.next() {
        if is_none(first) {
            continue;
        }
        let mut one = Instruction { line, text: first.to_owned(), ends_twice: false };
        // Lines are joined without a space, so a word may be split.
        while let Some(part) = one.text.trim_end_matches(blank).strip_suffix('\\') {
            one.ends_twice |= part.ends_with('\\');
            one.text = part.to_owned();
            let Some((_, next)) = lines.by_ref().find(|(_, next)| !is_none(next)) else { break };
            one.text.push_str(next);
        }
        all.push(one);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUM: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn pinned_images_are_found() {
        let text = format!(
            "# a comment\nARG BASE\nFROM debian:12@{SUM} AS build\nRUN make \\\n  # FROM evil\n  && make install\n\
             RUN make x\\\nFROM other\nFROM scratch AS empty\nCOPY --from=build /x /x\nFROM ${{BASE}} as Last\n\
             COPY --from=0 /x /y\nCOPY --from=registry.example:5000/a@{SUM} /x /z\nFROM last\n"
        );
        let read = Dockerfile::parse(&text).unwrap();
        assert_eq!(read.base, StageBase::Declared);
        assert!(read.uses_base);
        let names: Vec<String> = read.pinned.iter().map(|one| one.repository.to_string()).collect();
        assert_eq!(names, ["docker.io/library/debian", "registry.example:5000/a"]);
        let renamed = read.with_names(|one| format!("local/{}", one.repository.path()));
        assert!(
            renamed.contains("FROM local/library/debian AS build") && renamed.contains("--from=local/a /x"),
            "{renamed}"
        );
        let pinned = Dockerfile::parse(&format!("from debian@{SUM}")).unwrap();
        assert_eq!(pinned.base, StageBase::Pinned(0));
    }

    #[track_caller]
    fn refused(text: &str, why: &str) {
        let found = Dockerfile::parse(text).unwrap_err();
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains(why), "{found:?}");
    }

    #[test]
    fn unpinned_images_are_refused_with_their_line() {
        refused("", "no FROM line");
        refused("FROM debian:12", "line 1: FROM debian:12 is not pinned; expected `scratch`");
        refused("\n\nFROM debian@sha256:00", "line 3: FROM debian@sha256:00 is not pinned");
        refused("ARG X=debian\nFROM $X", "line 2: FROM $X is not pinned");
        refused("FROM ${BASE}", "line 1: FROM ${BASE} needs a line `ARG BASE`");
        refused("FROM scratch\nCOPY --from=busybox /x /x", "line 2: --from busybox is not pinned");
        refused("FROM scratch\nCOPY --chown=1 --from=0 /x /x", "line 2: --from 0 is not pinned");
        refused("FROM scratch\nRUN --mount=type=bind,from=busybox,target=/x true", "line 2: --from busybox");
        refused("FROM scratch\nADD https://example.org/x /x", "line 2: ADD downloads");
        refused("# syntax=docker/dockerfile:1\nFROM scratch", "line 1: the frontend docker/dockerfile:1 has no digest");
        refused("FROM --platform=linux/amd64 scratch", "line 1: FROM --platform=linux/amd64");
        refused("FROM scratch\nRUN --mount=type=bind,source=x,FROM=busybox true", "line 2: --from busybox");
        refused("FROM scratch\nRUN --mount=type=bind,\\\nfrom=busybox true", "line 2: --from busybox");
        refused("FROM scratch\nRUN --mount=type=bind,\"from=busybox\" true", "line 2: the option --mount=");
        refused("FROM scratch\nRUN --mou\\nt=type=bind,from=busybox true", "line 2: the option --mou");
        refused("FROM scratch\nONBUILD COPY --from=busybox /x /x", "line 2: --from busybox");
        refused("FR\\\nOM debian:12", "line 1: FROM debian:12 is not pinned");
        refused("FROM scratch\n// syntax=x", "line 2: unknown instruction //");
        let marked = Dockerfile::parse("\u{feff}# syntax=x@sha256:1\nFROM scratch").unwrap_err();
        assert!(marked[0].contains("line 1: it starts with #!"), "{marked:?}");
        refused("#!/usr/bin/x\n# syntax=y\nFROM scratch", "line 1: it starts with #!");
        refused("# escape=`\nFROM scratch", "line 1: another escape");
    }

    #[test]
    fn no_instruction_conceals_the_next() {
        // An unpinned stage is found wherever an engine would find it.
        for before in [
            "RUN <<EOF\nx\nEOF",
            "RUN bash -c 'cat <<<x'",
            "RUN echo \"a <<b\"",
            "RUN echo $((1 <<2))",
            "RUN echo $((1<<2))",
            "COPY <<-'EOF' /x\nEOF",
            "ONBUILD RUN 3<<EOF\nEOF",
            "RUN echo \\\\",
            "RUN echo \\\\ \t",
        ] {
            let found = Dockerfile::parse(&format!("FROM scratch\n{before}\nFROM debian:12")).unwrap_err();
            assert!(found[0].starts_with("line 2: "), "{before}: {found:?}");
            let is_joined = before.ends_with('\\') || before.ends_with('\t');
            assert!(is_joined || found.last().unwrap().contains("FROM debian:12 is not pinned"), "{before}: {found:?}");
        }
        let two = Dockerfile::parse("FROM scratch\nRUN --mount=from=x,from=busybox true").unwrap_err();
        assert!(two[0].contains("--from x ") && two[1].contains("--from busybox "), "{two:?}");
    }
}
