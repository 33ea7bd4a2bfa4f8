//! Names of files that not all systems can hold.

/// Names of devices on Windows, with any extension. Source: Microsoft, "Naming Files, Paths, and Namespaces".
const DEVICES: [&str; 6] = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"];

/// The reason why Windows or macOS cannot hold a name of a file or directory; none if they can.
pub fn unportable(name: &str) -> Option<String> {
    if let Some(c) = name.chars().find(|c| "<>:\"|?*".contains(*c)) {
        return Some(format!("contains the character {c:?}, which Windows does not allow in names"));
    }
    if name.ends_with(['.', ' ']) {
        return Some("ends with a dot or a space, which Windows removes".into());
    }
    let stem = name.split('.').next().unwrap_or_default().trim_end_matches(' ').to_uppercase();
    let is_port = ["COM", "LPT"].iter().any(|port| {
        stem.strip_prefix(port).is_some_and(|digit| {
            let mut digits = digit.chars();
            digits.next().is_some_and(|c| "123456789¹²³".contains(c)) && digits.next().is_none()
        })
    });
    if is_port || DEVICES.contains(&stem.as_str()) {
        return Some(format!("has a component that is the device {stem} on Windows"));
    }
    // Plane by plane, and the block that Unicode reserves for internal use.
    let is_noncharacter = |c: char| u32::from(c) & 0xfffe == 0xfffe || ('\u{fdd0}'..='\u{fdef}').contains(&c);
    let c = name.chars().find(|c| is_noncharacter(*c))?;
    Some(format!("contains {}, which is no Unicode character, so macOS refuses it", c.escape_unicode()))
}

#[cfg(test)]
mod tests {
    use super::unportable;

    #[test]
    fn names_of_devices_and_forbidden_characters_are_unportable() {
        for name in ["aux", "AUX.c", "nul", "com1.txt", "a:b", "a?", "end.", "end "] {
            assert!(unportable(name).is_some(), "{name}");
        }
        for name in ["auxiliary", "com", "com10", "a.b", ".git"] {
            assert_eq!(unportable(name), None, "{name}");
        }
    }
}
