//! Relations between packages: `NAME[:ARCH] [(OP VERSION)] [\[ARCHS\]] [<PROFILES>]…`, alternatives separated by `|`, and
//! groups of alternatives by `,`.
//!
//! Debian Policy, section 7.1; Multi-Arch qualifiers as in <https://wiki.debian.org/Multiarch>.

use drydock_config::debversion::DebVersion;

/// One package of a relation.
#[derive(Debug, Clone)]
pub struct Relation {
    /// The package's name, real or virtual.
    pub name: String,
    /// The architecture after `:`, such as `any`.
    pub architecture: Option<String>,
    /// The version that is asked for.
    pub version: Option<(Operator, DebVersion)>,
    /// Whether it holds only for some architectures or build profiles.
    pub is_restricted: bool,
}

/// The alternatives of which one must hold.
#[derive(Debug, Clone)]
pub struct Group {
    /// The alternatives, in order.
    pub alternatives: Vec<Relation>,
    /// The group as written.
    pub text: String,
}

/// The comparison of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `<<`
    Earlier,
    /// `<=`
    EarlierOrEqual,
    /// `=`
    Equal,
    /// `>=`
    LaterOrEqual,
    /// `>>`
    Later,
}

impl Operator {
    const ALL: [(&str, Operator); 5] = [
        ("<<", Operator::Earlier),
        ("<=", Operator::EarlierOrEqual),
        (">=", Operator::LaterOrEqual),
        (">>", Operator::Later),
        ("=", Operator::Equal),
    ];

    /// Whether `found` is what `wanted` asks for.
    pub fn holds(self, found: &DebVersion, wanted: &DebVersion) -> bool {
        match self {
            Operator::Earlier => found < wanted,
            Operator::EarlierOrEqual => found <= wanted,
            Operator::Equal => found == wanted,
            Operator::LaterOrEqual => found >= wanted,
            Operator::Later => found > wanted,
        }
    }
}

/// A relation that cannot be parsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Problem parsing dependency `{group}`: {problem}")]
pub struct RelationError {
    /// The group of alternatives as written.
    pub group: String,
    /// The problem.
    pub problem: String,
}

/// Parses a field of a binary package. An empty group is skipped, as dpkg does.
///
/// # Errors
/// [`RelationError`]; also for a restriction to architectures or profiles, which only sources may have.
pub fn parse_binary(field: &str) -> Result<Vec<Group>, RelationError> {
    let groups = field.split(',').filter(|text| !text.trim().is_empty()).map(group);
    let check = |group: Group| {
        if group.alternatives.iter().any(|one| one.is_restricted) {
            let problem = "a binary package cannot have restrictions".to_owned();
            return Err(RelationError { problem, group: group.text });
        }
        Ok(group)
    };
    groups.map(|group| group.and_then(check)).collect()
}

/// Parses a field of a source package as strictly as apt does: only the last group may be empty.
///
/// # Errors
/// [`RelationError`]
pub fn parse_source(field: &str) -> Result<Vec<Group>, RelationError> {
    let field = match field.trim_end().strip_suffix(',') {
        Some(before) if !before.trim().is_empty() => before,
        Some(_) | None => field,
    };
    let check = |group: Group| {
        let lower = |name: &str| name.len() > 1 && !name.bytes().any(|byte| byte.is_ascii_uppercase());
        match group.alternatives.iter().find(|one| !lower(&one.name)) {
            None => Ok(group),
            Some(one) => {
                let problem = format!("`{}` is not a package name", one.name);
                Err(RelationError { problem, group: group.text })
            }
        }
    };
    field.split(',').map(|text| group(text).and_then(check)).collect()
}

fn group(text: &str) -> Result<Group, RelationError> {
    let text = text.trim().to_owned();
    let alternatives = text.split('|').map(|one| relation(one.trim(), &text)).collect::<Result<_, _>>()?;
    Ok(Group { alternatives, text })
}

/// Parses one alternative of a group.
fn relation(text: &str, group: &str) -> Result<Relation, RelationError> {
    let wrong = |problem: &str| RelationError { group: group.to_owned(), problem: problem.to_owned() };
    let is_name = |c: char| c.is_ascii_alphanumeric() || "+.-".contains(c);
    let split = |text: &'_ str| text.find(|c: char| !is_name(c)).unwrap_or(text.len());
    let (name, mut rest) = text.split_at(split(text));
    if !name.starts_with(|first: char| first.is_ascii_alphanumeric()) {
        return Err(wrong("a package name is missing"));
    }
    let mut architecture = None;
    if let Some(after) = rest.strip_prefix(':') {
        let (word, after) = after.split_at(split(after));
        if word.is_empty() {
            return Err(wrong("an architecture is missing after `:`"));
        }
        (architecture, rest) = (Some(word.to_owned()), after);
    }
    rest = rest.trim_start();
    let mut version = None;
    if let Some(after) = rest.strip_prefix('(') {
        let (inside, after) = after.split_once(')').ok_or_else(|| wrong("a `(` is not closed"))?;
        let inside = inside.trim();
        let found = Operator::ALL.iter().find_map(|(sign, operator)| Some((*operator, inside.strip_prefix(sign)?)));
        let (operator, number) = found.ok_or_else(|| wrong("the version has no operator such as `>=`"))?;
        let number = number.trim();
        version = Some((operator, number.parse().map_err(|_| wrong(&format!("`{number}` is not a version")))?));
        rest = after.trim_start();
    }
    let is_restricted = !rest.is_empty();
    for (open, close) in [('[', ']'), ('<', '>')] {
        while let Some(after) = rest.strip_prefix(open) {
            let (inside, after) = after.split_once(close).ok_or_else(|| wrong(&format!("a `{open}` is not closed")))?;
            let fits = |word: &str| {
                let word = word.strip_prefix('!').unwrap_or(word);
                !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
            };
            if inside.trim().is_empty() || !inside.split_whitespace().all(fits) {
                return Err(wrong(&format!("cannot parse `{open}{inside}{close}`")));
            }
            rest = after.trim_start();
        }
    }
    if !rest.is_empty() {
        return Err(wrong(&format!("unexpected `{rest}`")));
    }
    Ok(Relation { name: name.to_owned(), architecture, version, is_restricted })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_fields_are_parsed_as_apt_does() {
        for (text, names) in [
            ("debhelper-compat (= 13), cargo,", &["debhelper-compat", "cargo"][..]),
            ("rustc-1.80 | rustc (>= 1.80)", &["rustc-1.80"]),
            ("a2:any (>= 1:2.0~rc1-3) [linux-any !s390x] <!nocheck> <!cross stage1>", &["a2"]),
            ("libfoo-dev(>=1)[amd64]<!nodoc>", &["libfoo-dev"]),
        ] {
            let groups = parse_source(text).unwrap();
            assert_eq!(groups.iter().map(|group| &group.alternatives[0].name).collect::<Vec<_>>(), names, "{text}");
        }
        for text in [
            "",
            ",",
            "a,,b2",
            "aa,,",
            "cargo >= 1",
            "cargo (1.0)",
            "cargo (>= )",
            "cargo (>= 1",
            "Cargo",
            "x",
            "ca [ ]",
            "ca <",
            "aa | ",
            "${misc:Depends}",
        ] {
            assert!(parse_source(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn binary_fields_have_no_restrictions() {
        assert_eq!(parse_binary("x, , R-base:any (>> 1) | y,").unwrap().len(), 2);
        assert!(parse_binary("").unwrap().is_empty());
        for text in ["libc6 (2)", "libc6 (>= ", "(>= 1)", "a b", "libc6 (>= a b)", "x [amd64]", "x <!nocheck>", "x |"] {
            assert!(parse_binary(text).is_err(), "{text}");
        }
    }
}
