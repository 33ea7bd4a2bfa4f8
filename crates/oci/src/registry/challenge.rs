//! Challenges of a registry: `WWW-Authenticate` (RFC 9110, 11.6.1), and the scopes of its tokens
//! (distribution, "Token Scope Documentation").

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A method of authentication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User name and password with each request.
    Basic,
    /// A token of a token service.
    Bearer {
        /// The URL of the token service.
        realm: String,
        /// The service that the token is for.
        service: Option<String>,
        /// The scope that the token must have.
        scope: Scope,
    },
}

/// Actions by repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Scope(BTreeMap<String, BTreeSet<String>>);

impl Scope {
    /// Returns the scope for reading a repository.
    pub(super) fn pull(path: &str) -> Scope {
        Scope::new(path, &["pull"])
    }

    /// Returns the scope for writing to a repository.
    pub(super) fn push(path: &str) -> Scope {
        Scope::new(path, &["pull", "push"])
    }

    /// Returns the scope for deleting from a repository.
    pub(super) fn delete(path: &str) -> Scope {
        Scope::new(path, &["pull", "delete"])
    }

    fn new(path: &str, actions: &[&str]) -> Scope {
        let actions = actions.iter().map(|action| (*action).to_owned()).collect();
        Scope(BTreeMap::from([(path.to_owned(), actions)]))
    }

    /// Adds another scope.
    #[must_use]
    pub(super) fn and(mut self, other: &Scope) -> Scope {
        for (path, actions) in &other.0 {
            self.0.entry(path.clone()).or_default().extend(actions.iter().cloned());
        }
        self
    }

    /// Adds the actions that `other` has for the same repositories.
    #[must_use]
    pub(super) fn widened(mut self, other: &Scope) -> Scope {
        for (path, actions) in &mut self.0 {
            actions.extend(other.0.get(path).into_iter().flatten().cloned());
        }
        self
    }

    /// Returns true if this scope includes another.
    pub(super) fn covers(&self, other: &Scope) -> bool {
        other.0.iter().all(|(path, wanted)| self.0.get(path).is_some_and(|actions| wanted.is_subset(actions)))
    }

    /// Formats the scope for a token service, one text for each repository.
    pub(super) fn texts(&self) -> Vec<String> {
        let text = |(path, actions): (&String, &BTreeSet<String>)| {
            let actions: Vec<&str> = actions.iter().map(String::as_str).collect();
            format!("repository:{path}:{}", actions.join(","))
        };
        self.0.iter().map(text).collect()
    }

    fn parse(text: &str) -> Scope {
        let mut scope = Scope::default();
        for one in text.split(' ') {
            let Some((path, actions)) = one.strip_prefix("repository:").and_then(|rest| rest.rsplit_once(':')) else {
                continue;
            };
            let actions: Vec<&str> = actions.split(',').collect();
            scope = scope.and(&Scope::new(path, &actions));
        }
        scope
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.texts().join(" "))
    }
}

/// Chooses the best of the offered methods.
pub(super) fn choose<'a>(headers: impl Iterator<Item = &'a str>) -> Option<Challenge> {
    let mut offered: Vec<Challenge> = headers.flat_map(parse).collect();
    let bearer = offered.iter().position(|one| matches!(one, Challenge::Bearer { .. }));
    match bearer {
        Some(position) => Some(offered.swap_remove(position)),
        None => offered.into_iter().next(),
    }
}

/// `scheme name=value, name="value", scheme …`
fn parse(header: &str) -> Vec<Challenge> {
    let mut offered: Vec<(String, BTreeMap<String, String>)> = Vec::new();
    for piece in pieces(header) {
        // A scheme is on its own, or before the first of its parameters.
        let (scheme, parameter) = match piece.split_once([' ', '\t']) {
            Some((first, rest)) if !first.contains('=') => (Some(first), rest.trim()),
            None if !piece.contains('=') => (Some(piece.as_str()), ""),
            Some(_) | None => (None, piece.as_str()),
        };
        if let Some(scheme) = scheme {
            offered.push((scheme.to_ascii_lowercase(), BTreeMap::new()));
        }
        let (Some((name, value)), Some((_, parameters))) = (parameter.split_once('='), offered.last_mut()) else {
            continue;
        };
        parameters.insert(name.trim().to_ascii_lowercase(), unquoted(value.trim()));
    }
    let known = offered.into_iter().filter_map(|(scheme, mut parameters)| match scheme.as_str() {
        "basic" => Some(Challenge::Basic),
        "bearer" => Some(Challenge::Bearer {
            realm: parameters.remove("realm")?,
            service: parameters.remove("service"),
            scope: parameters.remove("scope").map(|text| Scope::parse(&text)).unwrap_or_default(),
        }),
        _ => None,
    });
    known.collect()
}

/// Splits at commas outside of quotes.
fn pieces(header: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let (mut quoted, mut escaped) = (false, false);
    for letter in header.chars() {
        match letter {
            ',' if !quoted => {
                pieces.push(String::new());
                continue;
            }
            '"' if !escaped => quoted = !quoted,
            _ => {}
        }
        escaped = quoted && letter == '\\' && !escaped;
        if let Some(last) = pieces.last_mut() {
            last.push(letter);
        }
    }
    pieces.into_iter().map(|piece| piece.trim().to_owned()).filter(|piece| !piece.is_empty()).collect()
}

fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').map(|rest| rest.strip_suffix('"').unwrap_or(rest)) else {
        return value.to_owned();
    };
    let (mut text, mut escaped) = (String::new(), false);
    for letter in inner.chars() {
        escaped = !escaped && letter == '\\';
        if !escaped {
            text.push(letter);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: &str) -> Option<Challenge> {
        Some(Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scope: Scope::parse(scope),
        })
    }

    #[test]
    fn challenges_are_read() {
        for (headers, expected) in [
            (&["Basic realm=\"a, b\""][..], Some(Challenge::Basic)),
            (&["basic"], Some(Challenge::Basic)),
            (
                &[r#"Bearer realm="https://a.example/t",service="s",scope="repository:a/b:pull,push""#],
                bearer("https://a.example/t", Some("s"), "repository:a/b:pull,push"),
            ),
            (&[r#"Basic realm="x", Bearer realm = "https://a/\"t\"" "#], bearer("https://a/\"t\"", None, "")),
            (&["Basic realm=x", "BEARER REALM=https://a/t"], bearer("https://a/t", None, "")),
            (&["Negotiate, Basic realm=x"], Some(Challenge::Basic)),
            (&["Bearer service=x"], None),
            (&["Digest realm=x, nonce=\"y\""], None),
            (&[r#"Bearer realm="cut"#], bearer("cut", None, "")),
            (&[",,=,\"", ""], None),
        ] {
            assert_eq!(choose(headers.iter().copied()), expected, "{headers:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_header_is_parsed(header in "[ a-zA-Z=\",\\\\;:ä]{0,60}") {
            let all = parse(&header);
            proptest::prop_assert!(all.len() <= header.len());
            // A quoted value is read back unchanged.
            let quoted = header.replace('\\', "\\\\").replace('"', "\\\"");
            let found = choose([format!("Bearer x=\"y\",realm=\"{quoted}\"").as_str()].into_iter());
            proptest::prop_assert_eq!(found, bearer(&header, None, ""));
        }
    }

    #[test]
    fn scopes_are_compared() {
        let both = Scope::push("a/b").and(&Scope::pull("c"));
        assert_eq!(both.to_string(), "repository:a/b:pull,push repository:c:pull");
        assert_eq!(Scope::parse(&both.to_string()), both);
        assert!(both.covers(&Scope::pull("a/b")) && both.covers(&Scope::pull("c")));
        assert!(!both.covers(&Scope::push("c")) && !both.covers(&Scope::pull("a")));
        assert!(!Scope::push("a").covers(&Scope::delete("a")));
        let widened = Scope::delete("a").widened(&Scope::parse("repository:a:* repository:secret:pull"));
        assert_eq!(widened.to_string(), "repository:a:*,delete,pull");
    }
}
