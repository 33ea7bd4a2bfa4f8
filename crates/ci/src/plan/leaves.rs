//! Programs of the system that start no program of a project: where errors of programs of the system do not count, they need not run
//! under the tool at all, which is many times faster.

use super::PlannedTool;

/// The directories that systems have them in.
const DIRECTORIES: [&str; 3] = ["/usr/bin/", "/bin/", "/usr/lib/gcc/"];

/// Their names, as patterns: coreutils, filters, compilers, version control. Not `env`, `find`, `xargs`, `timeout`, `awk`, shells,
/// make and interpreters, which start others.
const NAMES: &str = "[ test true false echo printf expr sed grep egrep fgrep cat tac cut tr sort uniq head tail wc tee paste fold \
     join comm split od hexdump xxd strings ls cp mv rm ln mkdir rmdir mktemp mkfifo touch chmod chown stat \
     readlink realpath basename dirname pwd du df diff cmp patch date sleep seq id whoami uname hostname tty kill \
     ps pgrep file ldd nm objdump objcopy readelf strip ar ranlib as ld ld.* cc c++ cpp gcc g++ gcc-* g++-* cpp-* \
     clang clang++ clang-* *-linux-gnu*-* */cc1 */cc1plus */collect2 */lto* cmake git pkg-config pkgconf md5sum \
     sha1sum sha256sum sha512sum cksum gzip gunzip bzip2 xz zstd base64 bc dc m4 openssl locale localedef iconv \
     msgfmt gettext curl nc ss";

impl PlannedTool {
    /// Patterns of all executables that are not traced: those that are declared, and those of the system that start nothing, where
    /// their errors would not count anyway.
    pub fn not_traced(&self) -> Vec<String> {
        let around = !self.check_system && !self.by_suite && self.kind.finds_errors();
        let directories = if around { &DIRECTORIES[..] } else { &[] };
        let leaves = directories
            .iter()
            .flat_map(|directory| NAMES.split_whitespace().map(move |name| format!("{directory}{name}")));
        self.skip_children.iter().cloned().chain(leaves).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::PlannedJob;

    #[test]
    fn only_what_is_ignored_and_starts_nothing_is_left_out() {
        let mut tool = PlannedJob::plain("a", "a", &[]).tool;
        tool.kind = drydock_valgrind::tool::Tool::Memcheck;
        tool.skip_children = vec!["/opt/x".to_owned()];
        tool.check_system = true;
        assert_eq!(tool.not_traced(), ["/opt/x"]);
        tool.check_system = false;
        let all = tool.not_traced();
        let has = |path: &str| all.iter().any(|pattern| pattern == path);
        assert!(has("/opt/x") && has("/usr/bin/sed") && has("/usr/bin/gcc"), "{all:?}");
        for starts in [
            "sh", "bash", "dash", "env", "xargs", "find", "timeout", "make", "python3", "perl", "awk", "gdb", "sudo",
            "nice",
        ] {
            assert!(!has(&format!("/usr/bin/{starts}")), "{starts}");
        }
        assert!(!has("/usr/local/bin/sed"), "it is the user's own");
    }
}
