//! Lists that come in pages, by the header `Link` (RFC 8288).

/// The address of the next page.
pub(crate) fn next<'a>(mut links: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    links.find_map(|header| {
        let mut rest = header;
        while let Some((_, after)) = rest.split_once('<') {
            let (address, after) = after.split_once('>')?;
            let parameters = after.split('<').next().unwrap_or_default();
            let is_next =
                parameters.split([';', ',']).filter_map(|part| part.trim().split_once('=')).any(|(name, value)| {
                    let relations = value.trim().trim_matches('"');
                    name.trim().eq_ignore_ascii_case("rel")
                        && relations.split(' ').any(|one| one.eq_ignore_ascii_case("next"))
                });
            if is_next {
                return Some(address);
            }
            rest = after;
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_in_every_order() {
        for (header, expected) in [
            ("<https://a.example/?page=2>; rel=\"next\", <https://a.example/?page=9>; rel=\"last\"", Some("2")),
            ("<https://a.example/?page=1>; rel=\"prev\", <https://a.example/?page=3>; rel=\"next\"", Some("3")),
            ("<https://a.example/?page=4>; title=\"a\"; rel=next", Some("4")),
            ("<https://a.example/?page=5>; REL=\"last next\"", Some("5")),
            ("<https://a.example/?page=1>; rel=\"prev\"", None),
            ("<https://a.example/?page=6", None),
            ("rel=\"next\"", None),
            ("", None),
        ] {
            let found = next([header].into_iter()).and_then(|address| address.rsplit('=').next());
            assert_eq!(found, expected, "{header}");
        }
    }
}
