//! What a machine says about the network: the certificates that it trusts, and its proxy.

use std::ffi::OsString;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ureq::tls::{Certificate, PemItem, RootCerts, parse_pem};

use super::url::is_loopback;

/// Where distributions keep the certificates of authorities in one file.
const BUNDLES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];
/// More than any bundle has.
const LARGEST_BUNDLE: u64 = 16 << 20;

/// The variables of a machine, as far as the network is concerned.
#[derive(Debug, Clone, Default)]
pub struct NetworkEnv {
    /// `SSL_CERT_FILE`: a bundle instead of the system's.
    pub bundle: Option<PathBuf>,
    /// `HTTPS_PROXY`, or else `ALL_PROXY`.
    pub proxy: Option<String>,
    /// `NO_PROXY`.
    pub no_proxy: Option<String>,
}

impl NetworkEnv {
    /// Reads the variables. Lower-case names go first, as curl has it.
    pub fn new(variable: &dyn Fn(&str) -> Option<OsString>) -> NetworkEnv {
        let text = |names: &[&str]| {
            let found = names.iter().filter_map(|name| variable(name)).find(|value| !value.is_empty());
            found.and_then(|value| value.into_string().ok())
        };
        NetworkEnv {
            bundle: variable("SSL_CERT_FILE").filter(|value| !value.is_empty()).map(PathBuf::from),
            proxy: text(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
            no_proxy: text(&["no_proxy", "NO_PROXY"]),
        }
    }

    /// The proxy for a host. There is none between a machine and itself.
    ///
    /// # Errors
    /// The variable is no address of a proxy, in words without it, since it may hold a password.
    pub fn proxy_for(&self, authority: &str) -> Result<Option<ureq::Proxy>, String> {
        let Some(address) = self.proxy.as_deref().filter(|_| !is_loopback(authority)) else { return Ok(None) };
        let wrong = |_| "HTTPS_PROXY is no address of an HTTP proxy, such as http://proxy.example:3128".to_owned();
        let parsed = ureq::Proxy::new(address).map_err(wrong)?;
        let mut proxy = ureq::Proxy::builder(parsed.protocol()).host(parsed.host()).port(parsed.port());
        if let (Some(user), password) = (parsed.username(), parsed.password()) {
            proxy = proxy.username(user).password(password.unwrap_or_default());
        }
        for pattern in self.no_proxy.iter().flat_map(|list| list.split(',')).map(str::trim) {
            if !pattern.is_empty() {
                proxy = proxy.no_proxy(pattern);
            }
        }
        proxy.build().map(Some).map_err(wrong)
    }

    /// The authorities that this machine trusts: `SSL_CERT_FILE`, the system's bundle, else those of Mozilla as they
    /// were when this was built.
    ///
    /// # Errors
    /// The file that the variable names cannot be read.
    pub fn roots(&self) -> Result<Roots, String> {
        if let Some(file) = &self.bundle {
            return Ok(Roots { certificates: Some(certificates(file)?.into()) });
        }
        let found = BUNDLES.iter().find_map(|file| certificates(Path::new(file)).ok());
        Ok(Roots { certificates: found.filter(|found| !found.is_empty()).map(Arc::from) })
    }
}

/// Certificates of authorities.
#[derive(Debug, Clone, Default)]
pub struct Roots {
    /// None: those built in.
    certificates: Option<Arc<[Certificate<'static>]>>,
}

impl Roots {
    /// With those of the files too.
    ///
    /// # Errors
    /// A file cannot be read or has no certificate.
    pub fn with(&self, files: &[PathBuf]) -> Result<Roots, String> {
        if files.is_empty() {
            return Ok(self.clone());
        }
        let mut all: Vec<Certificate<'static>> = self.certificates.iter().flat_map(|list| list.to_vec()).collect();
        for file in files {
            let found = certificates(file)?;
            if found.is_empty() {
                return Err(format!("{} has no certificate; PEM is expected", file.display()));
            }
            all.extend(found);
        }
        Ok(Roots { certificates: Some(all.into()) })
    }

    pub(super) fn certificates(&self) -> RootCerts {
        match &self.certificates {
            Some(list) => RootCerts::new_with_certs(list),
            None => RootCerts::WebPki,
        }
    }
}

fn certificates(file: &Path) -> Result<Vec<Certificate<'static>>, String> {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        fs::File::open(file)?.take(LARGEST_BUNDLE).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|error| format!("cannot read the certificates of {}: {error}", file.display()))?;
    let found = parse_pem(&bytes).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        Ok(_) | Err(_) => None,
    });
    Ok(found.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_not_for_this_machine() {
        let set = |name: &str| match name {
            "HTTPS_PROXY" => Some("http://me:s3cret@proxy.example:3128".into()),
            "NO_PROXY" => Some("internal.example, .corp.example".into()),
            _ => None,
        };
        let machine = NetworkEnv::new(&set);
        assert!(machine.proxy_for("127.0.0.1:5000").unwrap().is_none());
        let proxy = machine.proxy_for("registry.example").unwrap().unwrap();
        assert_eq!((proxy.host(), proxy.port(), proxy.password()), ("proxy.example", 3128, Some("s3cret")));
        for (host, direct) in
            [("internal.example", true), ("a.corp.example", true), ("registry.example", false), ("corp.evil", false)]
        {
            let uri = format!("https://{host}/v2/").parse().unwrap();
            assert_eq!(proxy.is_no_proxy(&uri), direct, "{host}");
        }
        let wrong = NetworkEnv { proxy: Some("://s3cret".into()), ..NetworkEnv::default() };
        let error = wrong.proxy_for("registry.example").err().unwrap();
        assert!(error.contains("HTTPS_PROXY") && !error.contains("s3cret"), "{error}");
    }

    #[test]
    fn bundles_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let empty = directory.path().join("ca.crt");
        fs::write(&empty, "nothing").unwrap();
        assert!(Roots::default().with(&[empty]).unwrap_err().contains("has no certificate"));
        let missing = NetworkEnv { bundle: Some(directory.path().join("none")), ..NetworkEnv::default() };
        assert!(missing.roots().unwrap_err().contains("cannot read"));
        if Path::new(BUNDLES[0]).exists() {
            assert!(NetworkEnv::default().roots().unwrap().certificates.is_some_and(|list| list.len() > 10));
        }
    }
}
