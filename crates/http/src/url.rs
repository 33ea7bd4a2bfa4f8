//! Addresses of requests: where a header with a secret may go is decided by their origin.

use std::fmt;
use std::net::ToSocketAddrs as _;

/// An `http` or `https` address without a user name. Shown without its query, which may hold a secret.
///
/// It is parsed as the client that sends the request parses it (the WHATWG URL standard), so that both agree about its
/// origin.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Url {
    url: url::Url,
    authority: String,
}

impl Url {
    /// The address of a path, which starts with `/`, on a host. `None` when the host is not valid.
    pub fn new(secure: bool, authority: &str, target: &str) -> Option<Url> {
        Url::parse(&format!("{}://{authority}{target}", if secure { "https" } else { "http" }))
    }

    /// An absolute `http` or `https` address without a user name or password in it.
    pub fn parse(text: &str) -> Option<Url> {
        is_plain(text).then(|| url::Url::parse(text).ok().and_then(Url::from_url)).flatten()
    }

    fn from_url(mut url: url::Url) -> Option<Url> {
        if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() || url.password().is_some() {
            return None;
        }
        url.set_fragment(None);
        let host = url.host_str().filter(|host| !host.is_empty())?;
        let authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        Some(Url { url, authority })
    }

    /// The address that a `Location` header leads to from here: an absolute or a relative one.
    pub fn join(&self, location: &str) -> Option<Url> {
        let usable = !location.is_empty() && is_plain(location);
        usable.then(|| self.url.join(location).ok().and_then(Url::from_url)).flatten()
    }

    /// Adds parameters to the query.
    #[must_use]
    pub fn with_query(&self, parameters: &[(&str, &str)]) -> Url {
        let mut url = self.url.clone();
        url.query_pairs_mut().extend_pairs(parameters);
        Url { url, authority: self.authority.clone() }
    }

    /// Parameters as the content of a form.
    pub fn form(parameters: &[(&str, &str)]) -> String {
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish()
    }

    /// The path, which begins with `/`.
    pub fn path(&self) -> &str {
        self.url.path()
    }

    /// This address with the query of another one.
    #[must_use]
    pub fn with_query_of(&self, other: &Url) -> Url {
        let mut url = self.url.clone();
        url.set_query(other.url.query());
        Url { url, authority: self.authority.clone() }
    }

    /// Whether it is `https`.
    pub fn is_secure(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// The host, with its port where that is not the scheme's.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Whether a secret for the one may go to the other: the same scheme, host and port.
    pub fn same_origin(&self, other: &Url) -> bool {
        self.url.origin() == other.url.origin()
    }

    /// Whether the host is this machine.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.authority)
    }

    /// The whole address, with its query.
    pub fn whole(&self) -> String {
        self.url.to_string()
    }

    pub(crate) fn inner(&self) -> &url::Url {
        &self.url
    }

    /// Whether the host has an address, for the remedy of an error.
    pub(crate) fn resolves(&self) -> bool {
        let port = self.url.port_or_known_default().unwrap_or_default();
        self.url.host_str().is_some_and(|host| (host, port).to_socket_addrs().is_ok_and(|mut all| all.next().is_some()))
    }
}

/// Whether a parser would leave every character of it where it is: the URL standard drops or turns some of these.
fn is_plain(text: &str) -> bool {
    !text.contains(|letter: char| letter.is_control() || letter == ' ' || letter == '\\')
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.url.scheme(), self.authority, self.url.path())
    }
}

/// Whether a host, with or without a port, is this machine.
pub fn is_loopback(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        Some(_) | None => authority,
    };
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_resolved() {
        let here = Url::parse("https://registry.example:443/v2/a/blobs/uploads/?x=1").unwrap();
        for (location, expected) in [
            ("https://other.example:5000/x?y=z", Some("https://other.example:5000/x?y=z")),
            ("/v2/a/blobs/uploads/1?_state=s", Some("https://registry.example/v2/a/blobs/uploads/1?_state=s")),
            ("//other.example/x", Some("https://other.example/x")),
            ("?y=2", Some("https://registry.example/v2/a/blobs/uploads/?y=2")),
            ("1:2/x", Some("https://registry.example/v2/a/blobs/uploads/1:2/x")),
            ("17", Some("https://registry.example/v2/a/blobs/uploads/17")),
            ("http://u:p@registry.example/", None),
            ("ftp://registry.example/", None),
            ("file:///etc/passwd", None),
            ("https://", None),
            ("", None),
            ("/a b", None),
        ] {
            assert_eq!(here.join(location).map(|url| url.whole()).as_deref(), expected, "{location}");
        }
        assert_eq!(here.to_string(), "https://registry.example/v2/a/blobs/uploads/");
    }

    proptest::proptest! {
        /// A `Location` leads to a `http` or `https` address, and to this origin only by naming no other.
        #[test]
        fn no_location_is_too_odd(location in "[a-z/:@?#%\\\\. \\[\\]0-9-]{0,40}") {
            let here = Url::new(true, "registry.example", "/v2/a/").unwrap();
            if let Some(there) = here.join(&location) {
                proptest::prop_assert!(there.whole().starts_with("http"));
                proptest::prop_assert!(!there.authority().contains(['@', '/', '?', '#', '\\']));
                proptest::prop_assert_eq!(Url::parse(&there.whole()), Some(there));
            }
        }
    }

    #[test]
    fn secrets_keep_to_an_origin() {
        let here = Url::parse("https://registry.example/a").unwrap();
        for (other, same) in [
            ("https://registry.example:443/b", true),
            ("https://REGISTRY.example/b", true),
            ("http://registry.example/b", false),
            ("https://registry.example:444/b", false),
            ("https://registry.example.evil/b", false),
        ] {
            assert_eq!(here.same_origin(&Url::parse(other).unwrap()), same, "{other}");
        }
        for (authority, here) in [
            ("localhost", true),
            ("localhost:5000", true),
            ("127.3.2.1:80", true),
            ("[::1]:80", true),
            ("127.0.0.1.example", false),
            ("10.0.0.1:5000", false),
            ("localhost.example", false),
        ] {
            assert_eq!(is_loopback(authority), here, "{authority}");
        }
    }

    #[test]
    fn queries_are_encoded() {
        let url = Url::new(true, "a.example", "/token?x=1").unwrap();
        let scope = "repository:a/b:pull,push";
        let whole = url.with_query(&[("service", "a b&c"), ("scope", scope)]).whole();
        assert_eq!(whole, "https://a.example/token?x=1&service=a+b%26c&scope=repository%3Aa%2Fb%3Apull%2Cpush");
    }
}
