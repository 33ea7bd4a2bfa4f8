//! Programs as files: whether one is linked dynamically.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

/// The most program headers that are looked at.
const MOST_HEADERS: u16 = 1024;
/// The type of the program header that names the dynamic linker (elf(5)).
const PT_INTERP: u32 = 3;

/// Whether an ELF file names a dynamic linker; nothing if its headers cannot be read.
pub fn has_interpreter(file: &File) -> Option<bool> {
    let mut header = [0; 64];
    file.read_exact_at(&mut header, 0).ok()?;
    let is_64 = header[4] == 2;
    // Valgrind runs programs of the machine's own byte order.
    let half = |at: usize| Some(u16::from_ne_bytes(header.get(at..at + 2)?.try_into().ok()?));
    let (table, size, count) = if is_64 {
        (u64::from_ne_bytes(header.get(32..40)?.try_into().ok()?), half(54)?, half(56)?)
    } else {
        (u64::from(u32::from_ne_bytes(header.get(28..32)?.try_into().ok()?)), half(42)?, half(44)?)
    };
    if count > MOST_HEADERS {
        return None;
    }
    for number in 0..count {
        let mut kind = [0; 4];
        let at = table.checked_add(u64::from(number) * u64::from(size))?;
        file.read_exact_at(&mut kind, at).ok()?;
        if u32::from_ne_bytes(kind) == PT_INTERP {
            return Some(true);
        }
    }
    Some(false)
}
