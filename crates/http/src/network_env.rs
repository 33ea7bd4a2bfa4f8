//! The network settings of a machine: the certificates that it trusts, and its proxy.

use std::ffi::OsString;
use std::fs;
use std::io::Read as _;
use std::net::ToSocketAddrs as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper_util::client::proxy::matcher::Matcher;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::error::Error;
use crate::url::{Url, is_loopback};

/// Where distributions keep the certificates of authorities in one file.
const BUNDLES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];
/// The largest bundle that is read, in bytes; no real one is as large.
const LARGEST_BUNDLE: u64 = 16 << 20;

/// The environment variables that concern the network.
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

    /// The proxy for a host; `None` for this machine itself.
    ///
    /// # Errors
    /// The variable is not the address of an HTTP proxy. The error does not show it, since it may hold a password.
    pub fn proxy_for(&self, authority: &str) -> Result<Option<Proxy>, Error> {
        let Some(address) = self.proxy.as_deref().filter(|_| !is_loopback(authority)) else { return Ok(None) };
        let with_scheme = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
        let url = url::Url::parse(&with_scheme).ok();
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let no_proxy = self.no_proxy.clone().unwrap_or_default();
        let url = url.ok_or_else(|| {
            Error::Setup("HTTPS_PROXY must be the address of an HTTP proxy, such as http://proxy.example:3128".into())
        })?;
        Ok(Some(Proxy { url, no_proxy }))
    }

    /// The authorities that this machine trusts: those of `SSL_CERT_FILE`, else of the system's bundle, else those of
    /// Mozilla when Drydock was built.
    ///
    /// # Errors
    /// The file that the variable names cannot be read.
    pub fn roots(&self) -> Result<Roots, Error> {
        if let Some(file) = &self.bundle {
            return Ok(Roots { certificates: Some(certificates(file)?.into()) });
        }
        let found = BUNDLES.iter().find_map(|file| certificates(Path::new(file)).ok());
        Ok(Roots { certificates: found.filter(|found| !found.is_empty()).map(Arc::from) })
    }
}

/// An HTTP proxy.
#[derive(Clone)]
pub struct Proxy {
    url: url::Url,
    no_proxy: String,
}

impl Proxy {
    /// Whether requests to an address go through the proxy.
    pub(crate) fn is_for(&self, url: &Url) -> bool {
        let matcher = Matcher::builder().all(self.url.as_str()).no(self.no_proxy.as_str()).build();
        url.inner().as_str().parse().is_ok_and(|uri| matcher.intercept(&uri).is_some())
    }

    /// Its host and port.
    pub(crate) fn authority(&self) -> String {
        let port = self.url.port_or_known_default().unwrap_or_default();
        format!("{}:{port}", self.url.host_str().unwrap_or_default())
    }

    /// Whether its host has an address.
    pub(crate) fn resolves(&self) -> bool {
        self.authority().to_socket_addrs().is_ok_and(|mut all| all.next().is_some())
    }

    pub(crate) fn proxy(&self) -> Result<reqwest::Proxy, Error> {
        let proxy = reqwest::Proxy::all(self.url.clone())
            .map_err(|_| Error::Setup("the proxy in HTTPS_PROXY cannot be used".into()))?;
        Ok(proxy.no_proxy(reqwest::NoProxy::from_string(&self.no_proxy)))
    }
}

/// Certificates of authorities.
#[derive(Debug, Clone, Default)]
pub struct Roots {
    /// `None` for those built in.
    certificates: Option<Arc<[CertificateDer<'static>]>>,
}

impl Roots {
    /// Adds those of the files.
    ///
    /// # Errors
    /// A file cannot be read or holds no certificate.
    pub fn with(&self, files: &[PathBuf]) -> Result<Roots, Error> {
        if files.is_empty() {
            return Ok(self.clone());
        }
        let mut all: Vec<CertificateDer<'static>> = self.certificates.iter().flat_map(|list| list.to_vec()).collect();
        for file in files {
            let found = certificates(file)?;
            if found.is_empty() {
                return Err(Error::Setup(format!("{} holds no certificate; PEM is expected", file.display())));
            }
            all.extend(found);
        }
        Ok(Roots { certificates: Some(all.into()) })
    }

    /// The settings of TLS that trust these and nobody else.
    pub(crate) fn tls(&self) -> Result<rustls::ClientConfig, Error> {
        let mut store = rustls::RootCertStore::empty();
        match &self.certificates {
            // Bundles of old systems hold certificates that nothing can use any more; they vouch for nobody.
            Some(list) => drop(store.add_parsable_certificates(list.iter().cloned())),
            None => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        }
        let builder = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| Error::Setup(format!("TLS cannot be set up: {error}")))?;
        Ok(builder.with_root_certificates(store).with_no_client_auth())
    }
}

/// The certificates of a PEM file; what else it holds is skipped.
fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        fs::File::open(file)?.take(LARGEST_BUNDLE).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let cannot = |error| Error::Setup(format!("cannot read the certificates of {}: {error}", file.display()));
    let bytes = read().map_err(cannot)?;
    Ok(CertificateDer::pem_slice_iter(&bytes).filter_map(Result::ok).collect())
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
        let url = &proxy.url;
        assert_eq!((url.host_str(), url.port(), url.password()), (Some("proxy.example"), Some(3128), Some("s3cret")));
        assert!(proxy.proxy().is_ok());
        let wrong = NetworkEnv { proxy: Some("://s3cret".into()), ..NetworkEnv::default() };
        let error = wrong.proxy_for("registry.example").err().unwrap().to_string();
        assert!(error.contains("HTTPS_PROXY") && !error.contains("s3cret"), "{error}");
    }

    #[test]
    fn bundles_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let empty = directory.path().join("ca.crt");
        fs::write(&empty, "nothing").unwrap();
        assert!(Roots::default().with(&[empty]).unwrap_err().to_string().contains("holds no certificate"));
        let missing = NetworkEnv { bundle: Some(directory.path().join("none")), ..NetworkEnv::default() };
        assert!(missing.roots().unwrap_err().to_string().contains("cannot read"));
        if Path::new(BUNDLES[0]).exists() {
            assert!(NetworkEnv::default().roots().unwrap().certificates.is_some_and(|list| list.len() > 10));
        }
    }
}
