//! Static libraries. Source: ar(5), and the GNU variant with long names in the member `//`.

use super::{Place, place};

/// The size of a member's header.
const HEADER: usize = 60;

/// A member of a static library.
struct Member<'a> {
    name: String,
    /// Its time, user, group and mode, as they are written.
    fields: &'a [u8],
    content: &'a [u8],
}

/// The first member of two static libraries that differs.
pub(super) fn differing(first: &[u8], second: &[u8], depth: usize) -> Option<Place> {
    if depth > super::DEEPEST {
        return None;
    }
    let (ours, theirs) = (members(first)?, members(second)?);
    let names = |list: &[Member<'_>]| list.iter().map(|member| member.name.clone()).collect::<Vec<_>>();
    let (one, other) = (names(&ours), names(&theirs));
    if one != other {
        let at = one.iter().zip(&other).take_while(|(a, b)| a == b).count();
        let name = |list: &[String]| list.get(at).cloned().unwrap_or_else(|| "the end".into());
        let sorted = |mut list: Vec<String>| {
            list.sort_unstable();
            list
        };
        let (first, second) = (name(&one), name(&other));
        let cause = (sorted(one) == sorted(other))
            .then(|| "the same members in another order, as a directory gives it; sort the object files".to_owned());
        return Some(Place { name: format!("member {}", at + 1), first, second, cause });
    }
    // The index of symbols follows from the members.
    let pairs = || ours.iter().zip(&theirs).filter(|(one, _)| one.name != "/");
    if let Some((one, other)) = pairs().find(|(one, other)| one.content != other.content) {
        let inner = place(one.content, other.content, depth + 1);
        return Some(Place { name: format!("member {}: {}", one.name, inner.name), ..inner });
    }
    let (one, other) = ours.iter().zip(&theirs).find(|(one, other)| one.fields != other.fields)?;
    let text =
        |member: &Member<'_>| String::from_utf8_lossy(member.fields).split_whitespace().collect::<Vec<_>>().join(" ");
    Some(Place {
        name: format!("time, user, group and mode of member {}", one.name),
        first: text(one),
        second: text(other),
        cause: Some("the clock, the user or the umask; write the library with `ar rcD`".into()),
    })
}

fn members(content: &[u8]) -> Option<Vec<Member<'_>>> {
    let mut rest = content.strip_prefix(b"!<arch>\n")?;
    let (mut members, mut long): (Vec<Member<'_>>, &[u8]) = (Vec::new(), &[]);
    while rest.len() >= HEADER {
        let (header, after) = rest.split_at(HEADER);
        let size: usize = std::str::from_utf8(header.get(48..58)?).ok()?.trim().parse().ok()?;
        let content = after.get(..size)?;
        let raw = String::from_utf8_lossy(&header[..16]).trim_end().to_owned();
        if raw == "//" {
            long = content;
        }
        let name = match raw.strip_prefix('/').and_then(|digits| digits.parse::<usize>().ok()) {
            Some(at) => {
                let name = long.get(at..)?.split(|byte| matches!(byte, b'/' | b'\n')).next()?;
                String::from_utf8_lossy(name).into_owned()
            }
            None if matches!(raw.as_str(), "/" | "//") => raw,
            None => raw.trim_end_matches('/').to_owned(),
        };
        members.push(Member { name, fields: &header[16..48], content });
        rest = after.get(size + size % 2..).unwrap_or_default();
    }
    rest.is_empty().then_some(members)
}
