//! Properties of single items of a `for-each`, in a file of their own: what a suite does not say of its tests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::decode::{self, Bounded, Entries, EnvName, Keyword, Limit, Size, Spanned, declaration};
use super::diagnostic::{Diagnostics, Place, Problem, Problems};
use super::jobs::LoadError;
use super::quarantine::Selector;
use super::yaml;
use drydock_base::units::ByteSize;

declaration! {
    /// Properties of single items of a `for-each`.
    pub(in crate) struct PropertiesFile {
        /// The items: the last part of a job's name, or a glob such as `net-*`. All that match apply, in the order of the file.
        tests: Entries<Selector, ItemDeclaration>,
    }
}

declaration! {
    /// The properties of some items.
    pub(in crate) struct ItemDeclaration {
        /// Names of resources, such as a port, that only one running job may use, in addition to those of the job.
        locks: Vec<Spanned<String>> = Vec::new(),
        /// True if no other job may run beside these. Default: as the job and the suite say.
        serial: Option<bool>,
        /// The user that they run as, by name or number. Default: that of the job.
        user: Option<Spanned<String>>,
        /// The time limit, as a duration with units, instead of that of the job or the suite.
        timeout: Option<Spanned<Limit>>,
        /// The memory reserved until the history has measurements, as a size with a unit. Default: that of the job.
        memory: Option<Spanned<Size>>,
        /// Environment variables that are set, overriding those of the job and the suite.
        env: Entries<EnvName, Spanned<String>> = Entries::new(),
        /// Exit codes that mean that it was skipped, in addition to those of the job and the suite.
        skip_exit: Vec<Spanned<Bounded<1, 255>>> = Vec::new(),
        /// The end that it must have: `success`, `failure` for any other exit code, `failure-or-signal`. Default: as the suite
        /// says.
        expect: Option<Spanned<ExpectedEnd>>,
        /// The reason why it does not run: it is reported as skipped. Default: it runs.
        disabled: Option<Spanned<String>>,
        /// The reason why it runs without the tool of the job, such as that it starts no program: it is counted as such. Default: it
        /// runs under the tool.
        without_tool: Option<Spanned<String>>,
    }
}

/// The end that an item must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ExpectedEnd(Expected);

pub use super::jobs::Expected;

impl Keyword for ExpectedEnd {
    const WHAT: &'static str = "an end";
    const WORDS: &'static [(&'static str, Self)] = &[
        ("success", Self(Expected::Success)),
        ("failure", Self(Expected::Failure)),
        ("failure-or-signal", Self(Expected::FailureOrSignal)),
    ];
}

/// The properties of some items, valid.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ItemProperties {
    /// The last part of a job's name, or a glob.
    pub selector: String,
    /// See the declaration.
    pub locks: Vec<String>,
    /// See the declaration.
    pub serial: Option<bool>,
    /// See the declaration.
    pub user: Option<String>,
    /// See the declaration.
    pub timeout: Option<Duration>,
    /// See the declaration.
    pub memory: Option<ByteSize>,
    /// See the declaration.
    pub env: BTreeMap<String, String>,
    /// See the declaration.
    pub skip_exit: Vec<i32>,
    /// See the declaration.
    pub expect: Option<Expected>,
    /// See the declaration.
    pub disabled: Option<String>,
    /// See the declaration.
    pub without_tool: Option<String>,
    /// The place of the declaration.
    pub place: Option<Place>,
}

/// All properties of a file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Properties {
    /// In file order.
    pub items: Vec<ItemProperties>,
    file: PathBuf,
    text: String,
}

impl Properties {
    /// Reads a file.
    ///
    /// # Errors
    /// [`LoadError::Unreadable`], or all problems of the file at once.
    pub fn load(file: &Path, project: &Path) -> Result<Properties, LoadError> {
        let shown_as = file.strip_prefix(project).unwrap_or(file);
        match yaml::read(file) {
            Ok(Ok(text)) => Ok(Properties::parse(&text, shown_as)?),
            Ok(Err((problem, text))) => Err(Problems::from(vec![problem]).in_file(shown_as, &text).into()),
            Err(cause) => Err(LoadError::Unreadable { file: shown_as.to_owned(), cause }),
        }
    }

    /// Validates a text.
    ///
    /// # Errors
    /// All problems of the text at once.
    pub fn parse(text: &str, shown_as: &Path) -> Result<Properties, Diagnostics> {
        let mut problems = Problems::default();
        let declared: Option<PropertiesFile> = decode::document(text, &mut problems);
        let declared = declared.map(|file| file.tests.0).unwrap_or_default();
        let items = declared.into_iter().filter_map(|(key, item)| resolve(key, item, &mut problems)).collect();
        if problems.is_empty() {
            Ok(Properties { items, file: shown_as.to_owned(), text: text.to_owned() })
        } else {
            Err(problems.in_file(shown_as, text))
        }
    }

    /// Shows problems that are found later as those of the file are shown.
    pub fn diagnose(&self, problems: Vec<Problem>) -> Diagnostics {
        Problems::from(problems).in_file(&self.file, &self.text)
    }
}

fn resolve(key: Spanned<Selector>, item: ItemDeclaration, problems: &mut Problems) -> Option<ItemProperties> {
    let ItemDeclaration { locks, serial, user, timeout, memory, env, skip_exit, expect, disabled, without_tool } = item;
    let empty = |text: &Spanned<String>| text.value.as_ref().is_some_and(|text| text.trim().is_empty());
    for (texts, what) in [
        (locks.iter().collect::<Vec<_>>(), "the name of a lock is empty"),
        (user.iter().collect(), "the name of the user is empty"),
        (disabled.iter().chain(&without_tool).collect(), "the reason is empty"),
    ] {
        for text in texts.into_iter().filter(|text| empty(text)) {
            problems.push(Problem::new(text.place, what).help("write it, or remove the key"));
        }
    }
    Some(ItemProperties {
        selector: key.value?.into_text(),
        locks: locks.into_iter().filter_map(|lock| lock.value).collect(),
        serial,
        user: user.and_then(|user| user.value),
        timeout: timeout.and_then(|limit| limit.value).map(|limit| limit.0),
        memory: memory.and_then(|size| size.value).map(|size| size.0),
        env: env.0.into_iter().filter_map(|(name, value)| Some((name.value?.0, value.value?))).collect(),
        skip_exit: skip_exit.into_iter().filter_map(|code| i32::try_from(code.value?.0).ok()).collect(),
        expect: expect.and_then(|expect| expect.value).map(|ExpectedEnd(expected)| expected),
        disabled: disabled.and_then(|why| why.value),
        without_tool: without_tool.and_then(|why| why.value),
        place: Some(key.place),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_property_is_read_and_wrong_ones_are_reported_at_their_place() {
        let text = "tests:\n  net-*: {locks: [port-80], serial: true, user: nobody, timeout: 2m, memory: 1GiB}\n  \
                    \"a::b\": {env: {A: b}, skip-exit: [125], expect: failure, disabled: hangs, without-tool: none}\n";
        let properties = Properties::parse(text, Path::new("p")).unwrap();
        let [net, own] = properties.items.as_slice() else { panic!("{properties:?}") };
        assert_eq!(
            (net.selector.as_str(), net.locks.as_slice(), net.serial),
            ("net-*", &["port-80".to_owned()][..], Some(true))
        );
        assert_eq!(
            (net.user.as_deref(), net.timeout, net.memory),
            (Some("nobody"), Some(Duration::from_secs(120)), Some(ByteSize::mib(1024)))
        );
        assert_eq!(
            (own.skip_exit.as_slice(), own.expect, own.disabled.as_deref()),
            (&[125][..], Some(Expected::Failure), Some("hangs"))
        );
        assert_eq!((own.env["A"].as_str(), own.without_tool.as_deref()), ("b", Some("none")));
        for (text, expected) in [
            ("tests:\n  a: {lock: [x]}\n", "p:2:7: unknown key `lock`"),
            ("tests:\n  a: {locks: ['']}\n", "p:2:15: the name of a lock is empty"),
            ("tests:\n  a: {expect: signal}\n", "p:2:15"),
            ("tests:\n  '[': {serial: true}\n", "`[` is not a selector"),
            ("{}\n", "the required key `tests` is missing"),
        ] {
            let shown = Properties::parse(text, Path::new("p")).unwrap_err().to_string();
            assert!(shown.contains(expected), "{expected} is not in:\n{shown}");
        }
    }
}
