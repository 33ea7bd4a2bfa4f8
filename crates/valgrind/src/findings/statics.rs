//! Programs that are linked statically, in the logs of other commands that start them.
//!
//! The C library inside of such a program uses undefined values in ways that valgrind knows of the shared one only. What memcheck says
//! of them there is false, and what is true cannot be distinguished from it.

use std::collections::BTreeMap;

use crate::elf::has_interpreter;
use crate::tool::Tool;
use crate::xml::Error;

/// Errors about undefined values.
const UNDEFINED: [&str; 3] = ["UninitCondition", "UninitValue", "SyscallParam"];

/// The programs of an attempt that errors named, and whether they are linked statically.
#[derive(Debug, Default)]
pub(super) struct Statics(BTreeMap<String, bool>);

impl Statics {
    /// Whether the error is about undefined values in a program that is linked statically, and so does not count.
    pub(super) fn hide(&mut self, tool: Tool, error: &Error) -> bool {
        let mut objects = error.stack.iter().filter_map(|frame| frame.object.as_deref());
        let Some(program) =
            objects.next().filter(|_| tool == Tool::Memcheck && UNDEFINED.contains(&error.kind.as_str()))
        else {
            return false;
        };
        if objects.any(|object| object != program) {
            return false;
        }
        *self.0.entry(program.to_owned()).or_insert_with(|| {
            let path = std::path::Path::new(program);
            let file = drydock_base::paths::open_regular(path);
            file.is_ok_and(|file| has_interpreter(&file) == Some(false) && !program.contains(".so"))
        })
    }

    /// What was not checked of the programs whose errors are hidden.
    pub(super) fn notes(&self) -> Vec<String> {
        let hidden = self.0.iter().filter(|(_, is_static)| **is_static);
        let note = |(program, _): (&String, &bool)| {
            format!(
                "{program} is linked statically: undefined values, the heap and leaks were not checked; link it dynamically"
            )
        };
        hidden.map(note).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::Frame;

    #[test]
    fn only_undefined_values_in_one_static_program_are_hidden() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("p");
        // An ELF header without program headers, so without a dynamic linker.
        let mut header = vec![0_u8; 64];
        header[..5].copy_from_slice(b"\x7fELF\x02");
        std::fs::write(&program, header).unwrap();
        let at = |objects: &[&str], kind: &str| Error {
            kind: kind.to_owned(),
            stack: objects
                .iter()
                .map(|object| Frame { object: Some((*object).to_owned()), ..Frame::default() })
                .collect(),
            ..Error::default()
        };
        let own = program.display().to_string();
        let mut statics = Statics::default();
        assert!(statics.hide(Tool::Memcheck, &at(&[&own, &own], "UninitValue")));
        assert!(!statics.hide(Tool::Memcheck, &at(&[&own], "InvalidRead")));
        assert!(!statics.hide(Tool::Memcheck, &at(&[&own, "/usr/lib/libc.so.6"], "UninitValue")));
        assert!(!statics.hide(Tool::Drd, &at(&[&own], "UninitValue")));
        assert!(!statics.hide(Tool::Memcheck, &at(&["/usr/bin/env"], "UninitValue")), "it is linked dynamically");
        assert!(!statics.hide(Tool::Memcheck, &at(&["/nowhere"], "UninitValue")));
        assert_eq!(statics.notes().len(), 1);
    }
}
