//! SSH public keys and signatures as bytes (RFC 4251, RFC 4253 section 6.6, OpenSSH's PROTOCOL.sshsig), and `ssh-keygen -Y`,
//! which checks and makes signatures.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use drydock_base::checksum::Checksum;
use drydock_base::exec;
use drydock_base::failure::Failure;
use drydock_base::hint;
use drydock_base::scratch::Scratch;

/// The namespace of signatures of files, as ssh-keygen(1) recommends. Signatures in other namespaces do not count, so that
/// nobody can be made to sign a release by signing something else.
pub const FILES: &str = "file";
/// The namespace of tags and commits that git signs.
pub const GIT: &str = "git";
/// The types of keys that may sign, as public keys name them.
pub const KEY_TYPES: [&str; 7] = [
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-rsa",
];
/// Keys for RSA with fewer bits are weak.
pub const LEAST_RSA_BITS: usize = 2048;

/// A signature, not yet checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshSignature {
    /// The public key that the signature claims to be made by.
    pub key: Vec<u8>,
    /// The namespace for which it was made.
    pub namespace: String,
    /// The digest of the content, such as `sha512`.
    pub hash: String,
}

impl SshSignature {
    /// Reads a signature; none if it is damaged or of another version.
    pub fn parse(bytes: &[u8]) -> Option<SshSignature> {
        let rest = bytes.strip_prefix(b"SSHSIG")?.strip_prefix(&1_u32.to_be_bytes())?;
        let (key, rest) = string(rest)?;
        let (namespace, rest) = string(rest)?;
        let (_reserved, rest) = string(rest)?;
        let (hash, rest) = string(rest)?;
        let (_signature, rest) = string(rest)?;
        rest.is_empty().then_some(())?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        Some(SshSignature { key: key.to_vec(), namespace: text(namespace)?, hash: text(hash)? })
    }
}

/// The first string of bytes, and what follows it.
fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

/// The type that the bytes of a public key name; none if they are damaged.
pub fn key_type(key: &[u8]) -> Option<&str> {
    std::str::from_utf8(string(key)?.0).ok()
}

/// The bits of an RSA key; none for other types.
pub fn rsa_bits(key: &[u8]) -> Option<usize> {
    let (name, rest) = string(key)?;
    let (_exponent, rest) = (name == b"ssh-rsa").then(|| string(rest))??;
    let (modulus, _) = string(rest)?;
    let significant = modulus.iter().skip_while(|byte| **byte == 0);
    let first = significant.clone().next()?;
    Some(significant.count() * 8 - first.leading_zeros() as usize)
}

/// The fingerprint as OpenSSH shows it: `SHA256:` and base64.
pub fn fingerprint(key: &[u8]) -> String {
    format!("SHA256:{}", STANDARD_NO_PAD.encode(Checksum::new(key).0))
}

/// The base64 of a public key, as in its file; none if that is damaged or does not match the type before it.
pub fn decode_key(kind: &str, base64: &str) -> Option<Vec<u8>> {
    let key = STANDARD.decode(base64).ok()?;
    (key_type(&key)? == kind).then_some(key)
}

/// Whether this key made this signature of these bytes, for this namespace. The signature is its content without armour.
///
/// # Errors
/// ssh-keygen is missing.
pub fn verifies(key: &[u8], signature: &[u8], namespace: &str, signed: &[u8]) -> anyhow::Result<bool> {
    let directory = private_directory()?;
    let at = |name: &str| directory.path().join(name);
    let allowed = format!("signer {} {}\n", key_type(key).unwrap_or_default(), STANDARD.encode(key));
    let write =
        |name: &str, bytes: &[u8]| std::fs::write(at(name), bytes).context("cannot write to the temporary directory");
    write("allowed", allowed.as_bytes())?;
    write("signature", armour(signature).as_bytes())?;
    let files = [at("allowed"), at("signature")].map(|path| path.display().to_string());
    let argv = ["-Y", "verify", "-f", &files[0], "-I", "signer", "-n", namespace, "-s", &files[1]];
    let output = duct::cmd(program()?, argv)
        .dir(directory.path())
        .full_env(exec::environment(&[], &BTreeMap::new()))
        .stdin_bytes(signed)
        .stdout_capture()
        .stderr_capture()
        .unchecked()
        .run()
        .context("cannot run ssh-keygen")?;
    Ok(output.status.success())
}

/// A signature of bytes, armoured, by the key in a file: a private key, or a public key whose private key ssh-agent holds.
///
/// # Errors
/// ssh-keygen is missing, or cannot sign with the key.
pub fn sign(key: &Path, namespace: &str, signed: &[u8]) -> anyhow::Result<Vec<u8>> {
    let directory = private_directory()?;
    let file = directory.path().join("signed");
    let mut content = std::fs::File::create(&file).context("cannot write to the temporary directory")?;
    content.write_all(signed).context("cannot write to the temporary directory")?;
    let key = std::path::absolute(key).context("cannot resolve the key's file")?;
    let [key, name] = [&key, &file].map(|path| path.display().to_string());
    let agent: Vec<String> = ["SSH_AUTH_SOCK", "SSH_ASKPASS", "SSH_ASKPASS_REQUIRE", "SSH_SK_PROVIDER", "DISPLAY"]
        .map(str::to_owned)
        .to_vec();
    let output = duct::cmd(program()?, ["-Y", "sign", "-q", "-f", &key, "-n", namespace, &name])
        .dir(directory.path())
        .full_env(exec::environment(&agent, &BTreeMap::new()))
        .stdin_null()
        .stdout_capture()
        .stderr_capture()
        .unchecked()
        .run()
        .context("cannot run ssh-keygen")?;
    if !output.status.success() {
        let why = exec::end_of(&output.stderr);
        return Err(Failure::missing(format!("cannot sign with the SSH key {key}: {why}; is it in ssh-agent?")));
    }
    std::fs::read(directory.path().join("signed.sig")).context("ssh-keygen wrote no signature")
}

/// The armour of a signature, as ssh-keygen writes it.
pub fn armour(signature: &[u8]) -> String {
    let text = STANDARD.encode(signature);
    let lines = text.as_bytes().chunks(70).map(|line| format!("{}\n", String::from_utf8_lossy(line)));
    format!("-----BEGIN SSH SIGNATURE-----\n{}-----END SSH SIGNATURE-----\n", lines.collect::<String>())
}

fn private_directory() -> anyhow::Result<Scratch> {
    Scratch::new("ssh")
}

fn program() -> anyhow::Result<std::path::PathBuf> {
    let search = std::env::var_os("PATH");
    exec::find("ssh-keygen", Path::new("/"), search.as_ref()).map_err(|_| {
        let install = hint::apt_get(["install", "openssh-client"]);
        Failure::missing(format!("ssh-keygen is missing, which checks SSH signatures; run `{install}`"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIBFE+kBss0xP9W7HTlaxPy3Fk50l644FslhYb1CHxo7u";

    fn put(parts: &[&[u8]]) -> Vec<u8> {
        let length = |part: &[u8]| u32::try_from(part.len()).unwrap().to_be_bytes();
        parts.iter().flat_map(|part| length(part).into_iter().chain(part.iter().copied())).collect()
    }

    #[test]
    fn a_key_has_the_type_that_its_line_names() {
        let key = decode_key("ssh-ed25519", KEY).unwrap();
        assert!(fingerprint(&key).starts_with("SHA256:") && rsa_bits(&key).is_none());
        assert_eq!(decode_key("ssh-rsa", KEY), None);
        assert_eq!(decode_key("ssh-ed25519", "AAAA"), None);
        let rsa = put(&[b"ssh-rsa", &[1, 0, 1], &[&[0, 0x80][..], &[7; 127]].concat()]);
        assert_eq!(rsa_bits(&rsa), Some(1024));
    }

    #[test]
    fn a_signature_is_read_whole_or_not_at_all() {
        let body = put(&[b"key", b"file", b"", b"sha512", b"x"]);
        let bytes = [b"SSHSIG\0\0\0\x01", &body[..]].concat();
        let expected = SshSignature { key: b"key".to_vec(), namespace: "file".into(), hash: "sha512".into() };
        assert_eq!(SshSignature::parse(&bytes), Some(expected));
        for cut in 0..bytes.len() {
            assert_eq!(SshSignature::parse(&bytes[..cut]), None, "{cut}");
        }
        assert_eq!(SshSignature::parse(&[&bytes[..], &[0]].concat()), None);
        assert_eq!(SshSignature::parse(&bytes.iter().map(|byte| byte ^ 1).collect::<Vec<_>>()), None);
    }
}
