//! Lists of tags, and pagination.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::challenge::Scope;
use super::{Registry, RegistryError, says_unknown};
use drydock_config::images::{Digest, Repository, Tag};
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
        let (mut tags, mut digests) = (BTreeSet::new(), BTreeSet::new());
        let whole = self.url(repository, "tags/list")?;
        let mut next = Some(whole.with_query(&[("n", "1000")]));
        for page in 0..MOST_PAGES {
            let Some(url) = next else { return Ok(tags.into_iter().collect()) };
            let call = Request::new(Method::GET, &url);
            let mut answer = self.send(repository.path(), &Scope::pull(repository.path()), call)?;
            match answer.status {
                200 => {}
                404 if page == 0 => {
                    if says_unknown(&mut answer)? {
                        return Ok(Vec::new());
                    }
                    // A server that does not know the parameter, and is not asked for pages then.
                    next = Some(whole.clone());
                    continue;
                }
                404 if tags.is_empty() => return Ok(Vec::new()),
                _ => return Err(self.refused(answer, repository)),
            }
            next = self.next_page(&url, answer.headers("link"))?;
            let page: Page = serde_json::from_slice(&answer.bytes(LARGEST_PAGE)?)
                .map_err(|error| RegistryError::protocol(format!("cannot parse {url} as a list of tags: {error}")))?;
            let before = tags.len() + digests.len();
            for text in page.tags.into_iter().flatten() {
                // Some registries also list what was pushed by digest, which is no tag.
                if let Ok(digest) = text.parse::<Digest>() {
                    digests.insert(digest);
                    continue;
                }
                let wrong = |_| RegistryError::protocol(format!("{url} lists the invalid tag {:?}", printable(&text)));
                tags.insert(text.parse::<Tag>().map_err(wrong)?);
            }
            // A page without new tags means that the pages repeat.
            let now = tags.len() + digests.len();
            if now > MOST_TAGS || (now == before && next.is_some()) {
                return Err(endless());
            }
        }
        Err(endless())
    }

    /// Returns the next page in the `Link` headers (RFC 8288), which is of this registry.
    ///
    /// A registry behind a proxy may name the address that it has itself, with another scheme, host or prefix. The same list is
    /// then asked for at the address that is known here: nobody else gets the credentials.
    pub(super) fn next_page<'a>(
        &self,
        here: &Url,
        links: impl Iterator<Item = &'a str>,
    ) -> anyhow::Result<Option<Url>> {
        let Some(target) = links.filter_map(next_of).next() else { return Ok(None) };
        let next = here.join(target).and_then(|next| {
            if next.same_origin(&self.inner.base) {
                return Some(next);
            }
            is_same_list(here.path(), next.path()).then(|| here.with_query_of(&next))
        });
        match next {
            Some(next) if next != *here => Ok(Some(next)),
            Some(_) | None => {
                let text = format!("{here} names an invalid next page: {:?}", printable(target));
                Err(RegistryError::protocol(text))
            }
        }
    }
}

/// Returns true if two paths are those of one list, before and behind a proxy that adds or removes a prefix.
fn is_same_list(one: &str, other: &str) -> bool {
    let [one, other] = [one, other].map(|path| path.trim_start_matches("/v2/").trim_matches('/'));
    let ends = |long: &str, short: &str| long == short || long.ends_with(&format!("/{short}"));
    // At least `NAME/tags/list`.
    let shorter = if one.len() < other.len() { one } else { other };
    shorter.split('/').count() >= 3 && (ends(one, other) || ends(other, one))
}

/// Returns the target of the first link with the relation `next`. RFC 8288, section 3: a link may have several relations and
/// parameters, quoted or not.
fn next_of(header: &str) -> Option<&str> {
    let mut rest = header;
    loop {
        let (_, after) = rest.split_once('<')?;
        let (target, mut parameters) = after.split_once('>')?;
        let mut relation = None;
        loop {
            parameters = parameters.trim_start_matches([' ', '\t', ';']);
            if parameters.is_empty() || parameters.starts_with(',') {
                break;
            }
            let (name, value, after) = parameter(parameters);
            // The first one counts.
            if name.eq_ignore_ascii_case("rel") && relation.is_none() {
                relation = Some(value);
            }
            parameters = after;
        }
        let relations = relation.unwrap_or_default();
        if relations.split_ascii_whitespace().any(|relation| relation.eq_ignore_ascii_case("next")) {
            return Some(target);
        }
        rest = parameters;
    }
}

/// Splits the first parameter off: its name, its value without quotes, and the rest.
fn parameter(text: &str) -> (&str, &str, &str) {
    let end = text.find(['=', ';', ',']).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let Some(value) = rest.strip_prefix('=').map(str::trim_start) else { return (name.trim(), "", rest) };
    if let Some(quoted) = value.strip_prefix('"') {
        let mut is_escaped = false;
        let closing = quoted.find(|letter| {
            let closes = letter == '"' && !is_escaped;
            is_escaped = letter == '\\' && !is_escaped;
            closes
        });
        let closing = closing.unwrap_or(quoted.len());
        return (name.trim(), &quoted[..closing], quoted.get(closing + 1..).unwrap_or_default());
    }
    let end = value.find([';', ',']).unwrap_or(value.len());
    (name.trim(), value[..end].trim(), &value[end..])
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
            ("<x>;rel=\"prev next\"", Some("x")),
            ("<x>; rel = next", Some("x")),
            ("<x>; title=\"a, <b>; rel=next\"", None),
            ("<x>; title=\"quoted \\\" <b>\"; rel=\"next\"", Some("x")),
            ("<x>; title=\"open; rel=next", None),
            ("<x?a=1,2;b=3>; rel=\"next\"; type=\"a/b\"", Some("x?a=1,2;b=3")),
            ("<x>; rel=prev; rel=next, <y>; rel=NEXT", Some("y")),
            ("<x>; nextrel=next, <z>;;; rel=next", Some("z")),
            ("<x>; rel=nextish", None),
            ("", None),
        ] {
            assert_eq!(next_of(header), expected, "{header}");
        }
    }

    #[test]
    fn lists_are_recognised_behind_a_proxy() {
        for (other, same) in [
            ("/v2/mine/app/tags/list", true),
            ("/artifactory/api/docker/v2/mine/app/tags/list", true),
            ("/v2/app/tags/list", true),
            ("/v2/other/tags/list", false),
            ("/v2/mine/app/referrers/list", false),
            ("/v2/tags/list", false),
            ("/", false),
        ] {
            assert_eq!(is_same_list("/v2/mine/app/tags/list", other), same, "{other}");
        }
    }
}
