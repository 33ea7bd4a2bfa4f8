//! Who is let in: passwords, tokens, certificates and helpers, against a registry that asks for them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::slice;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use drydock_oci::registry::{Attachment, Credentials, Precondition, attach, copy, push, tag};
use tempfile::TempDir;

use super::proxy::{Act, Proxy, Request};
use super::registry_server::{Options, PASSWORD, Server, USER, client, image_in, is_remote, repository};
use crate::support::need_tool;

fn credentials(variables: &[(&str, &str)]) -> Credentials {
    let variables: BTreeMap<OsString, OsString> =
        variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    Credentials::new(variables)
}

fn docker_config(home: &Path, content: &str) {
    fs::create_dir_all(home.join(".docker")).unwrap();
    fs::write(home.join(".docker/config.json"), content).unwrap();
}

#[test]
fn a_password_comes_from_the_environment_a_file_or_a_helper() {
    let Some(server) = Server::with(Options { password: true, ..Options::default() }) else { return };
    let home = TempDir::new().unwrap();
    let (layout, top) = image_in(&home, 51, 10_000);
    let (host, repository) = (server.host(), server.repository("a"));
    let home_text = home.path().to_str().unwrap();
    let refused = |credentials: &Credentials, words: &[&str]| {
        let error = push(&client(&host, credentials), &repository, &layout, &top, &[]).unwrap_err();
        let text = format!("{error:#}");
        assert!(words.iter().all(|words| text.contains(words)), "{text}");
        assert!(!text.contains("wrong-horse") && !text.contains("d3Jvbmct"), "{text}");
        assert!(is_remote(&error), "{error:?}");
    };
    let none = credentials(&[("HOME", home_text)]);
    let login = format!("docker login {host}");
    refused(&none, &["401 Unauthorized", "no credentials for", "/.docker/config.json", &login]);
    let wrong = credentials(&[
        ("DRYDOCK_REGISTRY_HOST", &host),
        ("DRYDOCK_REGISTRY_USER", USER),
        ("DRYDOCK_REGISTRY_PASSWORD", "wrong-horse"),
    ]);
    refused(&wrong, &["401 Unauthorized", "the credentials of DRYDOCK_REGISTRY_USER for", "were rejected", &login]);

    let good = credentials(&[
        ("DRYDOCK_REGISTRY_HOST", &host),
        ("DRYDOCK_REGISTRY_USER", USER),
        ("DRYDOCK_REGISTRY_PASSWORD", PASSWORD),
    ]);
    push(&client(&host, &good), &repository, &layout, &top, &[]).unwrap();
    let auth = |password: &str| STANDARD.encode(format!("{USER}:{password}"));
    docker_config(home.path(), &format!("{{\"auths\":{{\"{host}\":{{\"auth\":\"{}\"}}}}}}", auth("wrong-horse")));
    refused(&none, &["the credentials of", "/.docker/config.json for", "were rejected"]);
    docker_config(home.path(), &format!("{{\"auths\":{{\"{host}\":{{\"auth\":\"{}\"}}}}}}", auth(PASSWORD)));
    push(&client(&host, &none), &repository, &layout, &top, &[]).unwrap();

    let helper = home.path().join("docker-credential-tests");
    fs::write(&helper, format!("#!/bin/sh\nread -r s\necho \"$1 $s\" >>{home_text}/asked\necho '{{\"Username\":\"{USER}\",\"Secret\":\"{PASSWORD}\"}}'\n"))
        .unwrap();
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    docker_config(home.path(), &format!("{{\"credHelpers\":{{\"{host}\":\"tests\"}}}}"));
    let path = format!("{home_text}:/usr/bin:/bin");
    let helped = credentials(&[("HOME", home_text), ("PATH", &path)]);
    let registry = client(&host, &helped);
    push(&registry, &repository, &layout, &top, &[]).unwrap();
    registry.tags(&repository).unwrap();
    assert_eq!(fs::read_to_string(home.path().join("asked")).unwrap(), format!("get {host}\n"), "asked once");
}

/// A certificate for 127.0.0.1 by an authority of its own: `ca.crt`, `server.crt`, `server.key`.
fn certificates(directory: &Path) {
    let openssl = |arguments: &[&str]| {
        let output =
            Command::new("openssl").args(arguments).current_dir(directory).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    openssl(
        &[&["req", "-x509"][..], &key, &["-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=tests", "-days", "2"]]
            .concat(),
    );
    openssl(&[&["req"][..], &key, &["-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=127.0.0.1"]].concat());
    fs::write(directory.join("names"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    let sign = ["x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days"];
    openssl(&[&sign[..], &["2", "-extfile", "names", "-out", "server.crt"]].concat());
}

#[test]
fn an_authority_of_certs_d_vouches_for_its_host() {
    if !need_tool("openssl", "openssl") {
        return;
    }
    let tls = TempDir::new().unwrap();
    certificates(tls.path());
    let options = Options { password: true, tls: Some(tls.path().to_owned()), ..Options::default() };
    let Some(server) = Server::with(options) else { return };
    let home = TempDir::new().unwrap();
    let (layout, top) = image_in(&home, 52, 3 << 20);
    let (host, repository) = (server.host(), server.repository("a"));
    let with = |trusted: bool| {
        let directory = home.path().join(format!(".config/containers/certs.d/{host}"));
        fs::create_dir_all(&directory).unwrap();
        // Another authority, that has nothing to do with the host.
        certificates(&directory);
        if trusted {
            fs::copy(tls.path().join("ca.crt"), directory.join("tests.crt")).unwrap();
        }
        fs::remove_file(directory.join("server.crt")).unwrap();
        credentials(&[
            ("HOME", home.path().to_str().unwrap()),
            ("DRYDOCK_REGISTRY_HOST", &host),
            ("DRYDOCK_REGISTRY_USER", USER),
            ("DRYDOCK_REGISTRY_PASSWORD", PASSWORD),
        ])
    };
    let error = push(&client(&host, &with(false)), &repository, &layout, &top, &[]).unwrap_err();
    let text = format!("{error:#}");
    assert!(text.contains("https://") && text.contains("an authority that this machine trusts?"), "{text}");
    assert!(!text.contains(" times"), "a certificate does not become better: {text}");
    push(&client(&host, &with(true)), &repository, &layout, &top, &[]).unwrap();
    assert_eq!(client(&host, &with(true)).tags(&repository).unwrap(), []);
}

/// A token service, as docker-registry wants it: it signs what it allows by a key whose certificate the registry knows.
fn token_service(directory: &Path) -> Proxy {
    let certificate = fs::read_to_string(directory.join("server.crt")).unwrap();
    let chain: String = certificate.lines().filter(|line| !line.starts_with("-----")).collect();
    let key = directory.join("server.key");
    Proxy::start("127.0.0.1:1", move |request| {
        let denied = || {
            let said = br#"{"errors":[{"code":"UNAUTHORIZED","message":"bad login"}]}"#;
            Act::Response(401, vec![], said.to_vec())
        };
        let (parameters, named) = match request.method.as_str() {
            "GET" => match request.header("authorization") {
                Some(header) if header == format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}"))) => {
                    (request.target.clone(), true)
                }
                Some(_) => return denied(),
                None => (request.target.clone(), false),
            },
            _ if request.form.contains("grant_type=refresh_token&")
                && request.form.ends_with("refresh_token=identity+token") =>
            {
                (request.form.replace("+repository", "&scope=repository"), true)
            }
            _ => return denied(),
        };
        let decoded = parameters.replace("%3A", ":").replace("%2F", "/").replace("%2C", ",");
        let scopes = decoded.split(['?', '&']).filter_map(|part| part.strip_prefix("scope=repository:"));
        let access: Vec<String> = scopes
            .filter_map(|scope| scope.rsplit_once(':'))
            // Nobody in particular may read what is public.
            .filter(|(name, _)| named && *name != "secret" || *name == "public")
            .map(|(name, actions)| {
                let actions = if named { actions } else { "pull" };
                let actions: Vec<String> = actions.split(',').map(|action| format!("\"{action}\"")).collect();
                format!("{{\"type\":\"repository\",\"name\":\"{name}\",\"actions\":[{}]}}", actions.join(","))
            })
            .collect();
        let now = jiff::Timestamp::now().as_second();
        let header = format!("{{\"typ\":\"JWT\",\"alg\":\"ES256\",\"x5c\":[\"{chain}\"]}}");
        let claims = format!(
            "{{\"iss\":\"tests\",\"sub\":\"\",\"aud\":\"registry\",\"exp\":{},\"nbf\":{},\"iat\":{now},\"jti\":\"1\",\
             \"access\":[{}]}}",
            now + 300,
            now - 10,
            access.join(",")
        );
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(es256(&key, signed.as_bytes())));
        // A POST gets the response of OAuth2, here without a lifetime.
        let answer = match request.method.as_str() {
            "POST" => format!("{{\"access_token\":\"{token}\"}}"),
            _ => format!("{{\"token\":\"{token}\",\"expires_in\":300}}"),
        };
        Act::Response(200, vec![], answer.into_bytes())
    })
}

/// A signature as tokens have it: both numbers, 32 bytes each (RFC 7518, 3.4). openssl writes them as DER.
fn es256(key: &Path, text: &[u8]) -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    let output = Command::new("openssl").args(["dgst", "-sha256", "-sign"]).arg(key).arg(file.path()).output().unwrap();
    let der = output.stdout;
    let mut signature = Vec::new();
    let mut at = 2;
    for _ in 0..2 {
        let length = usize::from(der[at + 1]);
        let number = &der[at + 2..at + 2 + length];
        let number = &number[number.len().saturating_sub(32)..];
        signature.extend(std::iter::repeat_n(0, 32 - number.len()).chain(number.iter().copied()));
        at += 2 + length;
    }
    signature
}

#[test]
fn tokens_are_fetched_for_what_is_done_and_no_more() {
    if !need_tool("openssl", "openssl") {
        return;
    }
    let keys = TempDir::new().unwrap();
    certificates(keys.path());
    let service = token_service(keys.path());
    let realm = format!("http://{}/token", service.host());
    let options = Options { token: Some((realm, keys.path().join("ca.crt"))), ..Options::default() };
    let Some(server) = Server::with(options) else { return };
    let home = TempDir::new().unwrap();
    let (layout, top) = image_in(&home, 53, 3 << 20);
    let host = server.host();
    let named = |password: &str| {
        credentials(&[
            ("DRYDOCK_REGISTRY_HOST", &host),
            ("DRYDOCK_REGISTRY_USER", USER),
            ("DRYDOCK_REGISTRY_PASSWORD", password),
        ])
    };
    let (nightly, release) = (server.repository("nightly"), server.repository("public"));
    let registry = client(&host, &named(PASSWORD));
    push(&registry, &nightly, &layout, &top, &[]).unwrap();
    let file = Attachment { media_type: "text/plain", bytes: b"x", annotations: &[] };
    attach(&registry, &nightly, &top, "application/vnd.drydock.test.v1+json", &[file]).unwrap();
    let before = service.seen().len();
    assert!((1..=6).contains(&before), "{before} tokens for one repository");
    let copied = copy((&registry, &nightly), (&registry, &release), &top.digest).unwrap();
    assert_eq!((copied.carried, copied.referrers), (0, 1), "a token for both lets the registry take blobs over");
    tag(&registry, &release, &top, &[("v1".parse().unwrap(), Precondition::Absent)]).unwrap();
    let both =
        |request: &&Request| request.target.contains("%3Anightly%3Apull&scope=repository%3Apublic%3Apull%2Cpush");
    assert!(service.seen().iter().filter(both).count() >= 1, "{:#?}", service.seen());
    assert!(registry.delete_manifest(&nightly, &top.digest).unwrap());

    // Nobody in particular reads what is public, and nothing else.
    let nobody = client(&host, &Credentials::default());
    assert_eq!(nobody.tags(&release).unwrap().len(), 2);
    let text = format!("{:#}", nobody.tags(&nightly).unwrap_err());
    assert!(text.contains("401") && text.contains("no credentials for"), "{text}");
    let text = format!("{:#}", client(&host, &named("wrong-horse")).tags(&nightly).unwrap_err());
    assert!(text.contains("/token: 401") && text.contains("bad login"), "{text}");
    assert!(text.contains("the credentials of DRYDOCK_REGISTRY_USER for") && !text.contains("wrong-horse"), "{text}");
    let text = format!("{:#}", registry.tags(&server.repository("secret")).unwrap_err());
    assert!(text.contains("401"), "{text}");

    // A token that expires in the middle of a push, as the registry says it, is fetched again, and the push goes on.
    let challenge = format!(
        "Bearer realm=\"http://{}/token\",service=\"registry\",scope=\"repository:later:pull,push\",error=\"invalid_token\"",
        service.host()
    );
    let proxy = Proxy::start(&host, move |request| match (request.method.as_str(), request.before) {
        ("PATCH" | "PUT", 1) => Act::Response(401, vec![("www-authenticate", challenge.clone())], Vec::new()),
        _ => Act::Pass,
    });
    let through = proxy.host();
    let login = credentials(&[
        ("DRYDOCK_REGISTRY_HOST", &through),
        ("DRYDOCK_REGISTRY_USER", USER),
        ("DRYDOCK_REGISTRY_PASSWORD", PASSWORD),
    ]);
    let registry = client(&through, &login);
    let later = repository(&through, "later");
    push(&registry, &later, &layout, &top, &[]).unwrap();
    tag(&registry, &later, &top, &[("v1".parse().unwrap(), Precondition::Absent)]).unwrap();
    let refused = proxy.count("PATCH", "") > 1 && proxy.count("PUT", "") > 1;
    assert!(refused, "{:#?}", proxy.seen());

    // An identity token is exchanged.
    docker_config(home.path(), &format!("{{\"auths\":{{\"{host}\":{{\"identitytoken\":\"identity token\"}}}}}}"));
    let exchanged = client(&host, &credentials(&[("HOME", home.path().to_str().unwrap())]));
    push(&exchanged, &nightly, &layout, &top, slice::from_ref(&release)).unwrap();
    let exchanged = service.count("POST", "/token");
    assert!((1..=3).contains(&exchanged), "{exchanged} tokens, each used again");
}

#[test]
fn a_login_is_never_sent_in_the_clear_or_to_another_host() {
    let elsewhere = Proxy::start("127.0.0.1:1", |_| Act::Response(200, vec![], b"{\"token\":\"x\"}".to_vec()));
    let proxy = Proxy::start("127.0.0.1:1", |request| {
        let realm = if request.target.contains("/clear/") { "http://token.example/token" } else { "nonsense" };
        let challenge = format!("Bearer realm=\"{realm}\",service=\"x\"");
        Act::Response(401, vec![("www-authenticate", challenge)], Vec::new())
    });
    let host = proxy.host();
    let registry = client(
        &host,
        &credentials(&[
            ("DRYDOCK_REGISTRY_HOST", &host),
            ("DRYDOCK_REGISTRY_USER", USER),
            ("DRYDOCK_REGISTRY_PASSWORD", PASSWORD),
        ]),
    );
    for (name, words) in [("clear", "never sent unencrypted"), ("odd", "invalid `realm`")] {
        let text = format!("{:#}", registry.tags(&repository(&host, name)).unwrap_err());
        assert!(text.contains(words) && !text.contains(PASSWORD), "{text}");
    }
    // The credentials of one host are not used for another.
    let challenge = vec![("www-authenticate", "Basic realm=\"x\"".to_owned())];
    elsewhere.script(move |_| Act::Response(401, challenge.clone(), Vec::new()));
    let other = client(
        &elsewhere.host(),
        &credentials(&[
            ("DRYDOCK_REGISTRY_HOST", &host),
            ("DRYDOCK_REGISTRY_USER", USER),
            ("DRYDOCK_REGISTRY_PASSWORD", PASSWORD),
        ]),
    );
    let text = format!("{:#}", other.tags(&repository(&elsewhere.host(), "a")).unwrap_err());
    assert!(text.contains("no credentials for"), "{text}");
    assert!(elsewhere.seen().iter().chain(&proxy.seen()).all(|request| request.header("authorization").is_none()));
}
