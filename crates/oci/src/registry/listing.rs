//! Lists that come in pages: tags.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::Registry;
use super::challenge::Scope;
use drydock_base::failure::Failure;
use drydock_config::images::{Repository, Tag};
use drydock_http::{Method, Request, Url, printable};

/// The largest page that is read.
pub(super) const LARGEST_PAGE: u64 = 16 << 20;
/// More than any repository has.
const MOST_TAGS: usize = 200_000;
/// More than any list has.
pub(super) const MOST_PAGES: usize = 2_000;

#[derive(Deserialize)]
struct Page {
    /// Null where there are none.
    tags: Option<Vec<String>>,
}

impl Registry {
    /// Every tag of a repository, sorted; none when there is no such repository.
    ///
    /// # Errors
    /// The registry cannot be reached, refuses, or the list does not end.
    pub fn tags(&self, repository: &Repository) -> anyhow::Result<Vec<Tag>> {
        let endless = || Failure::remote(format!("the list of tags of {repository} does not end"));
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
                .map_err(|error| Failure::remote(format!("{url} is no list of tags: {error}")))?;
            let before = tags.len();
            for text in page.tags.into_iter().flatten() {
                let wrong = |_| Failure::remote(format!("{url} lists {:?}, which is no tag", printable(&text)));
                tags.insert(text.parse::<Tag>().map_err(wrong)?);
            }
            // Each page has something new, or the list goes around.
            if tags.len() > MOST_TAGS || (tags.len() == before && next.is_some()) {
                return Err(endless());
            }
        }
        Err(endless())
    }

    /// The next page that a `Link` names (RFC 8288), always of this registry.
    pub(super) fn next_page(&self, here: &Url, link: Option<&str>) -> anyhow::Result<Option<Url>> {
        let Some(target) = link.and_then(next_of) else { return Ok(None) };
        match here.join(target) {
            Some(next) if next.same_origin(&self.inner.base) && next != *here => Ok(Some(next)),
            Some(_) | None => {
                let text = format!("{here} names as its next page {:?}, which is none", printable(target));
                Err(Failure::remote(text))
            }
        }
    }
}

/// The target of the link with `rel="next"`.
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
        fn no_link_is_too_odd(header in "[<>;, =\"a-zä]{0,60}", target in "[a-z?&=/]{0,9}") {
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
