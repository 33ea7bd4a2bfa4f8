//! Requests that get no response: whether another attempt may help, and which remedy is named.

use crate::error::Error;
use crate::network_env::Proxy;
use crate::request::Request;

/// The reason where nothing moved for too long.
const TIMEOUT: &str = "timeout";

/// The reason for which no response came.
pub(crate) enum SendError {
    /// The client says so.
    Failed(reqwest::Error),
    /// Nothing moved for too long.
    Silence,
}

/// The kind of failure, which decides whether there is another try and which remedy is named.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The certificate of the host cannot be verified.
    Certificate(String, &'static str),
    /// Nothing listens there.
    ConnectionRefused(String),
    /// The host has no address.
    HostNotFound(String),
    /// The connection ended before TLS was agreed on.
    NoHandshake(String),
    /// The proxy cannot be reached or refuses; with the remedy.
    Proxy(String, &'static str),
    /// The content could not be read to its end.
    Content(String),
    /// A timeout, a connection that broke, a response that is not HTTP.
    Other(String),
}

impl Failure {
    /// `proxy` is that of the request's host, if it has one.
    pub(crate) fn new(error: &SendError, request: &Request<'_>, proxy: Option<&Proxy>) -> Failure {
        let SendError::Failed(error) = error else { return Failure::Other(TIMEOUT.to_owned()) };
        let mut reason = error.to_string();
        let mut kind = None;
        let mut certificate = None;
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            reason = cause.to_string();
            certificate = certificate.or_else(|| cause.downcast_ref().map(remedy_for_tls));
            let mut io = cause.downcast_ref::<std::io::Error>();
            while let Some(error) = io {
                kind = Some(error.kind());
                // `source` skips the error that an io::Error wraps.
                let wrapped = error.get_ref();
                let of_tls = wrapped.and_then(|wrapped| wrapped.downcast_ref());
                certificate = certificate.or_else(|| of_tls.map(remedy_for_tls));
                io = wrapped.and_then(|wrapped| wrapped.downcast_ref());
            }
            source = cause.source();
        }
        if error.is_timeout() {
            reason = TIMEOUT.to_owned();
        }
        if let Some(remedy) = certificate {
            return Failure::Certificate(reason, remedy);
        }
        if let Some(proxy) = proxy.filter(|_| error.is_connect()) {
            return Failure::of_proxy(&reason, kind, proxy, request);
        }
        match kind {
            Some(std::io::ErrorKind::UnexpectedEof) if error.is_connect() && request.url.is_secure() => {
                Failure::NoHandshake(reason)
            }
            Some(std::io::ErrorKind::ConnectionRefused) => Failure::ConnectionRefused(reason),
            Some(std::io::ErrorKind::UnexpectedEof) if error.is_body() => Failure::Content(reason),
            _ if error.is_connect() && !error.is_timeout() && !request.url.resolves() => Failure::HostNotFound(reason),
            _ => Failure::Other(reason),
        }
    }

    /// What is wrong with a proxy, to which alone the client connects.
    fn of_proxy(reason: &str, kind: Option<std::io::ErrorKind>, proxy: &Proxy, request: &Request<'_>) -> Failure {
        let (host, at) = (request.url.authority(), format!("the proxy {} of HTTPS_PROXY", proxy.authority()));
        let (reason, remedy) = if !proxy.resolves() {
            (format!("{at}: {reason}"), "; is its name right?")
        } else if reason == TIMEOUT || kind == Some(std::io::ErrorKind::ConnectionRefused) {
            (format!("{at}: {reason}"), "; is its address right, and is it running?")
        } else {
            let remedy =
                "; is that host allowed there, and are a user and password needed (http://USER:PASSWORD@HOST:PORT)?";
            (format!("{at} does not connect to {host} ({reason})"), remedy)
        };
        Failure::Proxy(reason, remedy)
    }

    /// Whether another try may succeed.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Failure::Certificate(..) | Failure::Content(_) => false,
            Failure::ConnectionRefused(_)
            | Failure::HostNotFound(_)
            | Failure::NoHandshake(_)
            | Failure::Proxy(..)
            | Failure::Other(_) => true,
        }
    }

    pub(crate) fn reason(&self) -> &str {
        match self {
            Failure::Certificate(reason, _)
            | Failure::ConnectionRefused(reason)
            | Failure::HostNotFound(reason)
            | Failure::NoHandshake(reason)
            | Failure::Proxy(reason, _)
            | Failure::Content(reason)
            | Failure::Other(reason) => reason,
        }
    }

    pub(crate) fn into_error(self, request: &Request<'_>, tried: u32) -> Error {
        let (reason, remedy) = match self {
            Failure::Certificate(reason, remedy) => (reason, remedy),
            Failure::ConnectionRefused(reason) => (reason, "; is the server running?"),
            Failure::HostNotFound(reason) => (reason, "; is the host's name right?"),
            Failure::Proxy(reason, remedy) => (reason, remedy),
            Failure::NoHandshake(reason) => (reason, "; does the server speak TLS on this port?"),
            Failure::Content(reason) | Failure::Other(reason) => (reason, ""),
        };
        let reason = format!("{}{remedy}", crate::printable(&reason));
        Error::NoResponse {
            method: request.method.clone(),
            url: Box::new(request.url.clone()),
            tried,
            reason: reason.into(),
        }
    }
}

/// The remedy for an error of TLS: most are about the certificate of the host.
fn remedy_for_tls(error: &rustls::Error) -> &'static str {
    use rustls::CertificateError;
    let certificate = match error {
        rustls::Error::InvalidCertificate(certificate) => certificate,
        rustls::Error::InvalidMessage(_) => return "; the server does not speak TLS on this port: is the port right?",
        // The list of the library grows.
        _ => return "; does the server use TLS 1.2 or 1.3?",
    };
    match certificate {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "; is its certificate from an authority that this machine trusts? Install the authority's certificate, or name \
             its file in SSL_CERT_FILE"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "; is the host's name right? Its certificate is for other names"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "; its certificate must be renewed, unless the clock of this machine is wrong"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "; is the clock of this machine right?"
        }
        // The list of the library grows.
        _ => "; is its certificate that of the host, from an authority that this machine trusts?",
    }
}
