//! The `Range` header of an upload: what a registry says it has.

/// The trust in a `Range` header that contradicts an accepted chunk. Amazon's registry repeats that of the first chunk for
/// all others, and some registries name a number of bytes instead of the last byte; the digest at the end decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ranges {
    /// Contradictions are ignored; there was none.
    Doubted,
    /// A contradiction was ignored, and so is what the registry says later.
    PassedOver,
    /// Contradictions count, since the upload failed without that.
    Heeded,
}

impl Ranges {
    /// Returns the number of bytes that the registry has after a chunk that it accepted. It had `before` bytes, and has
    /// `expected` unless the header says otherwise.
    pub(super) fn offset(&mut self, header: Option<&str>, before: u64, expected: u64) -> u64 {
        let Some(there) = header.and_then(offset_of) else { return expected };
        match self {
            Ranges::Heeded => there,
            Ranges::PassedOver => expected,
            Ranges::Doubted if there <= before || there > expected => {
                *self = Ranges::PassedOver;
                expected
            }
            Ranges::Doubted => there,
        }
    }
}

/// Returns the number of bytes in the `Range` of an upload: `0-N` is N + 1. `0-0` is none, as docker-registry writes it.
pub(super) fn offset_of(header: &str) -> Option<u64> {
    let range = header.trim().strip_prefix("bytes=").unwrap_or(header.trim());
    let (first, last) = range.split_once('-')?;
    match (first.parse().ok()?, last.parse().ok()?) {
        (0, 0) => Some(0),
        (0, last) => u64::checked_add(last, 1),
        (_, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        for (header, offset) in [
            ("0-0", Some(0)),
            ("0-99", Some(100)),
            ("bytes=0-99", Some(100)),
            ("1-99", None),
            ("0--1", None),
            ("0-18446744073709551615", None),
            ("99", None),
            ("", None),
        ] {
            assert_eq!(offset_of(header), offset, "{header}");
        }
    }

    /// Uploads of three chunks of 100 bytes, by what each registry says.
    #[test]
    fn contradictions_are_ignored_until_an_upload_fails() {
        for (name, said, doubted, heeded) in [
            ("by the specification", ["0-99", "0-199", "0-299"], [100, 200, 300], [100, 200, 300]),
            ("the first chunk each time", ["0-99", "0-99", "0-99"], [100, 200, 300], [100, 100, 100]),
            ("a number of bytes", ["0-100", "0-200", "0-300"], [100, 200, 300], [101, 201, 301]),
            ("the bytes of the chunk", ["0-100", "0-100", "0-100"], [100, 200, 300], [101, 101, 101]),
            ("a part of the first chunk", ["0-49", "0-149", "0-249"], [50, 150, 250], [50, 150, 250]),
            ("nothing", ["", "", ""], [100, 200, 300], [100, 200, 300]),
        ] {
            for (mut ranges, expected) in [(Ranges::Doubted, doubted), (Ranges::Heeded, heeded)] {
                let found = [0, 100, 200].map(|before| {
                    let header = said[before / 100];
                    ranges.offset(Some(header), before as u64, before as u64 + 100)
                });
                assert_eq!(found, expected, "{name}");
            }
        }
    }
}
