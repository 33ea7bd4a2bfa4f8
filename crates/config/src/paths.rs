//! Paths in declarations: relative to the project, and inside of it.

use drydock_base::text::quoted;
use drydock_base::units::BadValue;

/// The reason why a path could lead out of the project; none for a safe path.
pub(crate) fn leaves_project(path: &str) -> Option<&'static str> {
    if path.starts_with('/') {
        Some("is absolute")
    } else if path.split('/').any(|part| part == "..") {
        Some("contains a `..` component")
    } else if path.contains('\0') {
        Some("contains a NUL byte")
    } else {
        None
    }
}

/// Checks a path that must be relative to the project and inside of it.
///
/// # Errors
/// Absolute paths, those with `..`, and empty ones.
pub fn inside(path: &str) -> Result<(), BadValue> {
    let why = if path.is_empty() { Some("is empty") } else { leaves_project(path) };
    match why {
        Some(why) => Err(BadValue::new(
            format!("the path {} {why}", quoted(path)),
            "a path relative to the project and inside of it",
        )),
        None => Ok(()),
    }
}
