//! The reasons for which a property of the surroundings was the same in both builds.

/// The reason why the second build saw the same of a property.
pub(super) fn why_not(name: &str, has_rust: bool) -> String {
    match name {
        "clock" if has_rust => "rustc does not run with a wrong one",
        "clock" => "both builds get the true one",
        "user id" | "host name" => "sbuild gives every build the same",
        _ => "it was the same in both builds",
    }
    .to_owned()
}

/// Whether a package with these build dependencies is built by rustc.
pub(super) fn needs_rust(dependencies: &[String]) -> bool {
    let names = dependencies.iter().flat_map(|field| field.split([',', '|'])).map(str::trim);
    let tools = ["cargo", "rustc", "dh-cargo", "dh-rust", "dh-sequence-cargo", "dh-sequence-rust"];
    // The version may be a part of the name, as in rustc-1.85.
    names.filter_map(|name| name.split([' ', '(', ':', '[', '<']).next()).any(|name| {
        let is_versioned = |tool: &str| name.strip_prefix(tool).is_some_and(|rest| rest.starts_with("-1."));
        tools.contains(&name) || tools[..2].iter().any(|tool| is_versioned(tool))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_the_same_because_of_rustc_only_where_there_is_one() {
        for (field, has_rust) in [
            ("debhelper-compat (= 13), cargo:native, libfoo-dev", true),
            ("debhelper-compat (= 13), rustc (>= 1.85) <!nocheck>", true),
            ("python3, cargo-1.85 | cargo (>= 1.85)", true),
            ("dh-cargo(>= 25)", true),
            ("debhelper-compat (= 13), libcargotex-dev, rustc-free, cargo-doc", false),
            ("", false),
        ] {
            assert_eq!(needs_rust(&[field.to_owned()]), has_rust, "{field}");
        }
        assert_eq!(why_not("clock", true), "rustc does not run with a wrong one");
        assert_eq!(why_not("clock", false), "both builds get the true one");
    }
}
