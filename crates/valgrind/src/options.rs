//! Options of valgrind, as valgrind itself understands them (`coregrind/m_main.c`, `m_commandline.c`; valgrind manual,
//! chapter 2.6): prefixes of tools, the last one that counts, and which of them Drydock must keep for itself.

use std::borrow::Cow;

use crate::tool::Tool;

mod surroundings;

pub use surroundings::{Surroundings, SurroundingsError, file_clock};

/// An option without the prefix of its tool: `--memcheck:leak-check=full` is `--leak-check=full` under memcheck. `None` if
/// valgrind ignores it, because it has the prefix of something else.
pub fn plain(tool: Tool, option: &str) -> Option<Cow<'_, str>> {
    let end = option.find([':', '=']).filter(|at| option.as_bytes().get(*at) == Some(&b':'));
    let Some(colon) = end else { return Some(Cow::Borrowed(option)) };
    let (prefix, rest) = option.split_at(colon);
    (prefix.strip_prefix("--") == Some(tool.name())).then(|| Cow::Owned(format!("--{}", rest.trim_start_matches(':'))))
}

/// The value of the last option `name=VALUE` that the tool would obey.
pub fn last(tool: Tool, options: &[String], name: &str) -> Option<String> {
    let value = |option: &String| Some(plain(tool, option)?.strip_prefix(name)?.strip_prefix('=')?.to_owned());
    options.iter().rev().find_map(value)
}

/// The exit code by which valgrind says that there are errors, if it is to say so: the last `--error-exitcode`, as the
/// system cuts it to 8 bits.
pub fn error_exit(tool: Tool, options: &[String]) -> Option<i32> {
    let code = last(tool, options, "--error-exitcode")?.parse::<i32>().ok()?;
    (code > 0).then_some(code & 0xff)
}

/// What Drydock does with an option that it has a say in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Treatment {
    /// It is left out, since Drydock does what it asks for by itself.
    Implied,
    /// It would take from Drydock what a verdict needs.
    Refused {
        /// The harm, as a clause that follows the option.
        reason: &'static str,
        /// The remedy, as a sentence without its end.
        remedy: &'static str,
    },
}

const XML: Treatment = Treatment::Refused {
    reason: "changes the output that Drydock reads findings from",
    remedy: "remove it; Drydock always asks for XML and keeps it",
};
const PROFILE: Treatment = Treatment::Refused {
    reason: "redirects the profile that Drydock reads",
    remedy: "remove it; the profile is in the directory of the run",
};
const WAITS: Treatment = Treatment::Refused { reason: "waits for a debugger", remedy: "remove it" };
const HELP: Treatment =
    Treatment::Refused { reason: "prints the help instead of running the job", remedy: "remove it" };

/// Options that Drydock has a say in. The first row that fits decides: one with `=` fits the whole option, one that ends
/// with `-` all options that begin with it, and any other one the name, whatever the value.
const TREATMENTS: &[(&str, Treatment)] = &[
    ("--xml=yes", Treatment::Implied),
    ("--xml", XML),
    ("--xml-", XML),
    (
        "--log-",
        Treatment::Refused {
            reason: "redirects the output that Drydock reads",
            remedy: "remove it; the log is in the directory of the run",
        },
    ),
    ("--tool", Treatment::Refused { reason: "sets the tool a second time", remedy: "use the key `tool` of the job" }),
    ("--massif-out-file", PROFILE),
    ("--dhat-out-file", PROFILE),
    (
        "--trace-children-skip",
        Treatment::Refused { reason: "is set by Drydock", remedy: "use the key `skip-children` under `tools`" },
    ),
    (
        "--trace-children",
        Treatment::Refused { reason: "is set by Drydock", remedy: "use the key `trace-children` under `tools`" },
    ),
    ("--child-silent-after-fork=no", Treatment::Implied),
    (
        "--child-silent-after-fork",
        Treatment::Refused {
            reason: "suppresses the findings of children",
            remedy: "remove it; Drydock reads the findings of each process",
        },
    ),
    // Both would only drop the counts of used suppressions, since everything else is in the XML.
    ("-q", Treatment::Implied),
    ("--quiet", Treatment::Implied),
    // Drydock reads the other sources of options itself.
    ("--command-line-only", Treatment::Implied),
    (
        "--gen-suppressions=yes",
        Treatment::Refused { reason: "waits for input from the terminal", remedy: "use `--gen-suppressions=all`" },
    ),
    ("--vgdb-error", WAITS),
    ("--vgdb-stop-at", WAITS),
    ("--wait-for-gdb=yes", WAITS),
    ("--help", HELP),
    ("--help-debug", HELP),
    ("--help-dyn-options", HELP),
    ("-h", HELP),
    ("--version", Treatment::Refused { reason: "prints the version instead of running the job", remedy: "remove it" }),
];

/// How Drydock treats an option; `None` if valgrind gets it as it is.
pub fn treatment(tool: Tool, option: &str) -> Option<Treatment> {
    let option = plain(tool, option)?;
    let name = option.split('=').next().unwrap_or_default();
    let fits = |pattern: &str| match pattern.strip_suffix('-') {
        Some(_) => name.starts_with(pattern),
        None if pattern.contains('=') => option == pattern,
        None => name == pattern,
    };
    TREATMENTS.iter().find(|(pattern, _)| fits(pattern)).map(|(_, treatment)| *treatment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_those_of_valgrind() {
        let plain = |option| plain(Tool::Memcheck, option).map(Cow::into_owned);
        assert_eq!(plain("--memcheck:leak-check=full").as_deref(), Some("--leak-check=full"));
        assert_eq!(plain("--helgrind:history-level=none"), None);
        assert_eq!(plain("--log-socket=127.0.0.1:1500").as_deref(), Some("--log-socket=127.0.0.1:1500"));
        assert_eq!(plain("-memcheck:q"), None);
    }

    #[test]
    fn the_last_one_counts() {
        let options = ["--error-exitcode=3", "--memcheck:error-exitcode=263", "--drd:error-exitcode=9"];
        let options = options.map(str::to_owned);
        assert_eq!(error_exit(Tool::Memcheck, &options), Some(7));
        assert_eq!(error_exit(Tool::Drd, &options), Some(9));
        assert_eq!(error_exit(Tool::Memcheck, &["--error-exitcode=0".to_owned()]), None);
    }

    #[test]
    fn a_row_fits_a_name_a_family_or_one_value() {
        let treatment = |option| treatment(Tool::Memcheck, option);
        assert_eq!(treatment("--xml=yes"), Some(Treatment::Implied));
        assert_eq!(treatment("--memcheck:xml=no"), Some(XML));
        assert_eq!(treatment("--xml-user-comment=<x>"), Some(XML));
        assert_eq!(treatment("--helgrind:xml=no"), None);
        assert_eq!(treatment("--trace-children-skip-by-arg=x"), None);
        assert_eq!(treatment("--gen-suppressions=all"), None);
        assert_eq!(treatment("-q"), Some(Treatment::Implied));
    }
}
