//! Addresses of requests: where a header with a secret may go is decided by their origin.

use std::fmt;

use ureq::http::Uri;

/// An `http` or `https` address. Shown without its query, which may hold what opens a door.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Url {
    secure: bool,
    authority: String,
    target: String,
}

impl Url {
    /// The address of a path, which starts with `/`, on a host.
    pub fn new(secure: bool, authority: &str, target: &str) -> Url {
        let default = if secure { ":443" } else { ":80" };
        let authority = authority.strip_suffix(default).unwrap_or(authority).to_ascii_lowercase();
        Url { secure, authority, target: target.to_owned() }
    }

    /// An absolute address, without a name or password in it.
    pub fn parse(text: &str) -> Option<Url> {
        let uri: Uri = text.parse().ok()?;
        let secure = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let authority = uri.authority()?;
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return None;
        }
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        Some(Url::new(secure, authority.as_str(), if target.is_empty() { "/" } else { target }))
    }

    /// What a `Location` says from here: an absolute address, or a relative one (RFC 3986, 4.2).
    pub fn join(&self, location: &str) -> Option<Url> {
        let scheme = if self.secure { "https" } else { "http" };
        let here = format!("{scheme}://{}", self.authority);
        let path = self.path();
        let directory = &path[..=path.rfind('/')?];
        let whole = match location {
            "" => return None,
            _ if location.split(['/', '?']).next().is_some_and(|first| first.contains(':')) => location.to_owned(),
            _ if location.starts_with("//") => format!("{scheme}:{location}"),
            _ if location.starts_with('/') => format!("{here}{location}"),
            _ if location.starts_with('?') => format!("{here}{path}{location}"),
            _ => format!("{here}{directory}{location}"),
        };
        Url::parse(&whole)
    }

    /// With parameters more.
    #[must_use]
    pub fn with_query(&self, parameters: &[(&str, &str)]) -> Url {
        let mut target = self.target.clone();
        for (name, value) in parameters {
            target.push(if target.contains('?') { '&' } else { '?' });
            target.push_str(&format!("{name}={}", encoded(value)));
        }
        Url { target, ..self.clone() }
    }

    /// Parameters as the content of a form.
    pub fn form(parameters: &[(&str, &str)]) -> String {
        let pairs: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        pairs.join("&")
    }

    /// Whether it is `https`.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// The host, with its port where that is not the scheme's.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Whether a secret for the one may go to the other: the same scheme, host and port.
    pub fn same_origin(&self, other: &Url) -> bool {
        self.secure == other.secure && self.authority == other.authority
    }

    /// Whether it is this machine.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.authority)
    }

    /// With its query.
    pub fn whole(&self) -> String {
        format!("{}://{}{}", if self.secure { "https" } else { "http" }, self.authority, self.target)
    }

    fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or("/")
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", if self.secure { "https" } else { "http" }, self.authority, self.path())
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

/// A value of a query (RFC 3986, 3.4). `:`, `/` and `,` stay, as scopes are made of them.
fn encoded(value: &str) -> String {
    let mut text = String::new();
    for byte in value.bytes() {
        match byte {
            _ if byte.is_ascii_alphanumeric() || b"-._~:/,".contains(&byte) => text.push(char::from(byte)),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
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
            ("1:2/x", None),
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
        /// What a `Location` says leads to a `http` or `https` address, and to this origin only by naming no other.
        #[test]
        fn no_location_is_too_odd(location in "[a-z/:@?#%\\\\. \\[\\]0-9-]{0,40}") {
            let here = Url::new(true, "registry.example", "/v2/a/");
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
        let url = Url::new(true, "a.example", "/token?x=1");
        let scope = "repository:a/b:pull,push";
        let whole = url.with_query(&[("service", "a b&c"), ("scope", scope)]).whole();
        assert_eq!(whole, "https://a.example/token?x=1&service=a%20b%26c&scope=repository:a/b:pull,push");
    }
}
