//! What a build leaves behind in an image that no program needs and that no two builds have alike.

/// Whether a file, by its path without `/` at its ends, is such a leftover: logs, caches, lists of a package manager,
/// names of the machine, and devices, which a container gets from whoever runs it.
pub fn is_leftover(path: &str) -> bool {
    let within = |folder: &str| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    let backup = |folder: &str| within(folder) && path.ends_with("-old");
    within("var/log")
        || within("var/lib/apt/lists")
        || within("var/cache/apt")
        || within("dev")
        || within("proc")
        || within("sys")
        || backup("var/lib/dpkg")
        || backup("var/cache/debconf")
        || matches!(
            path,
            "var/cache/ldconfig/aux-cache"
                | "etc/hostname"
                | "etc/resolv.conf"
                | "etc/machine-id"
                | "var/lib/dbus/machine-id"
                | "var/lib/systemd/random-seed"
                | "run/.containerenv"
                | ".dockerenv"
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_no_program_needs_is_left_out() {
        for path in
            ["var/log/dpkg.log", "var/log/apt/history.log", "etc/machine-id", "var/lib/dpkg/status-old", "dev/null"]
        {
            assert!(is_leftover(path), "{path}");
        }
        for path in ["var/log", "var/logs/x", "var/lib/dpkg/status", "etc/hosts", "var/lib/x-old", "devices/x", "dev"] {
            assert!(!is_leftover(path), "{path}");
        }
    }
}
