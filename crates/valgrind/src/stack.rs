//! The frames of a call stack, and the one of them that a finding is attributed to.

use serde::{Deserialize, Serialize};

/// One frame of a stack.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Frame {
    /// The object file.
    pub object: Option<String>,
    /// The function.
    pub function: Option<String>,
    /// The source directory.
    pub directory: Option<String>,
    /// The source file.
    pub file: Option<String>,
    /// The line, from 1.
    pub line: Option<u32>,
}

impl Frame {
    /// `function (file:line)` as far as it is known.
    pub fn describe(&self) -> String {
        let function = self.function.as_deref().unwrap_or("???");
        // The path of valgrind's own malloc is of no interest.
        if self.object.as_deref().is_some_and(|object| object.contains("/vgpreload_")) {
            return function.to_owned();
        }
        match (&self.file, self.line, &self.object) {
            (Some(file), Some(line), _) => format!("{function} ({file}:{line})"),
            (Some(file), None, _) => format!("{function} ({file})"),
            (None, _, Some(object)) => format!("{function} (in {object})"),
            (None, _, None) => function.to_owned(),
        }
    }
}

/// The index of the frame to look at first: the innermost one past allocators and libraries.
pub fn place(stack: &[Frame]) -> usize {
    let own = stack.iter().position(|frame| !is_library(frame) && !is_allocator(frame));
    own.or_else(|| stack.iter().position(|frame| !is_library(frame))).unwrap_or(0)
}

/// Whether the frame is in one of valgrind's own replacements, in a library of the distribution, or in the standard libraries of C++ and Rust, which are
/// compiled into the program.
pub(crate) fn is_library(frame: &Frame) -> bool {
    let object = frame.object.as_deref().unwrap_or_default();
    let directory = frame.directory.as_deref().unwrap_or_default();
    object.contains("/vgpreload_")
        || ["/lib/", "/lib32/", "/lib64/", "/usr/lib/", "/usr/lib32/", "/usr/lib64/", "/usr/libexec/"]
            .iter()
            .any(|prefix| object.starts_with(prefix))
        || ["/rustc/", "/usr/include/"].iter().any(|prefix| directory.starts_with(prefix))
        || directory.contains("/lib/rustlib/src/rust/library/")
}

/// Whether the function only passes on what malloc returned: `xmalloc`, `g_strdup`, `tal_alloc_`.
fn is_allocator(frame: &Frame) -> bool {
    let name = frame.function.as_deref().map(without_clone).unwrap_or_default().to_ascii_lowercase();
    let name = name.trim_matches(|letter: char| letter == '_' || letter.is_ascii_digit());
    ["malloc", "calloc", "realloc", "reallocarray", "memalign", "strdup", "strndup", "memdup", "asprintf", "tal_alloc"]
        .iter()
        .any(|known| name.ends_with(known))
        || name.starts_with("operator new")
}

/// `f.constprop.0` is `f`: the number changes with each compiler.
pub(crate) fn without_clone(function: &str) -> &str {
    let clones = [".part.", ".constprop.", ".isra.", ".cold", ".lto_priv.", ".llvm."];
    let end = clones.iter().filter_map(|clone| function.find(clone)).min();
    end.filter(|end| *end > 0).map_or(function, |end| &function[..end])
}

/// The last part of a path.
pub fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
