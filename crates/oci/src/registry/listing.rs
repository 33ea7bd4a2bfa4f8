//! Lists of tags, and pagination.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::challenge::Scope;
use super::{Registry, RegistryError};
use drydock_config::images::{Repository, Tag};
use drydock_http::{Method, Request, Url, printable};

/// The maximum size of a page in bytes.
pub(super) const LARGEST_PAGE: u64 = 16 << 20;
/// The maximum number of tags.
const MOST_TAGS: usize = 200_000;
/// The maximum number of pages.
pub(super) const MOST_PAGES: usize = 2_000;

#[derive(Deserialize)]
struct Page {
    /// Some registries send `null` for an empty list.
    tags: Option<Vec<String>>,
}

impl Registry {
    /// Returns all tags of a repository, sorted; none if the repository does not exist.
    ///
    /// # Errors
    /// The registry refuses a request, cannot be reached, or returns an endless list.
    pub fn tags(&self, repository: &Repository) -> anyhow::Result<Vec<Tag>> {
        let endless = || RegistryError::protocol(format!("the list of tags of {repository} does not end"));
        let mut tags = BTreeSet::new();
        let mut next = Some(self.url(repository, "tags/list")?.with_query(&[("n", "1000")]));
        for _ in 0..MOST_PAGES {
            let Some(url) = next else { return Ok(tags.into_iter().collect()) };
            let call = Request::new(Method::GET, &url);
            let mut answer = self.send(repository.path(), &Scope::pull(repository.path()), call)?;
            match answer.status {
                200 => {}
                404 if tags.is_empty() => return Ok(Vec::new()),
                _ => return Err(self.refused(answer, repository)),
            }
            next = self.next_page(&url, answer.header("link"))?;
            let page: Page = serde_json::from_slice(&answer.bytes(LARGEST_PAGE)?)
                .map_err(|error| RegistryError::protocol(format!("cannot parse {url} as a list of tags: {error}")))?;
            let before = tags.len();
            for text in page.tags.into_iter().flatten() {
                let wrong = |_| RegistryError::protocol(format!("{url} lists the invalid tag {:?}", printable(&text)));
                tags.insert(text.parse::<Tag>().map_err(wrong)?);
            }
            // A page without new tags means that the pages repeat.
            if tags.len() > MOST_TAGS || (tags.len() == before && next.is_some()) {
                return Err(endless());
            }
        }
        Err(endless())
    }

    /// Returns the next page in a `Link` header (RFC 8288), which must be of this registry.
    pub(super) fn next_page(&self, here: &Url, link: Option<&str>) -> anyhow::Result<Option<Url>> {
        let Some(target) = link.and_then(next_of) else { return Ok(None) };
        match here.join(target) {
            Some(next) if next.same_origin(&self.inner.base) && next != *here => Ok(Some(next)),
            Some(_) | None => {
                let text = format!("{here} names an invalid next page: {:?}", printable(target));
                Err(RegistryError::protocol(text))
            }
        }
    }
}

/// Returns the target of the link with `rel="next"`.
fn next_of(header: &str) -> Option<&str> {
    let mut rest = header;
    while let Some((_, after)) = rest.split_once('<') {
        let (target, parameters) = after.split_once('>')?;
        let end = parameters.find('<').unwrap_or(parameters.len());
        let is_next = parameters[..end].split([';', ',']).any(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            name.trim().eq_ignore_ascii_case("rel") && value.trim().trim_matches('"').eq_ignore_ascii_case("next")
        });
        if is_next {
            return Some(target);
        }
        rest = &parameters[end..];
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn any_link_header_is_parsed(header in "[<>;, =\"a-zä]{0,60}", target in "[a-z?&=/]{0,9}") {
            if let Some(found) = next_of(&header) {
                proptest::prop_assert!(header.contains(found));
            }
            let link = format!("<{target}>; rel=next");
            proptest::prop_assert_eq!(next_of(&link), Some(target.as_str()));
        }
    }

    #[test]
    fn links_are_read() {
        for (header, expected) in [
            ("</v2/a/tags/list?n=2&last=b>; rel=\"next\"", Some("/v2/a/tags/list?n=2&last=b")),
            ("<x>; title=\"a\"; rel=next", Some("x")),
            ("<x>; rel=\"prev\", <y>; REL=\"next\"", Some("y")),
            ("<x>; rel=\"prev\"", None),
            ("<x", None),
            ("x; rel=next", None),
            ("<>; rel=next", Some("")),
            ("", None),
        ] {
            assert_eq!(next_of(header), expected, "{header}");
        }
    }
}
