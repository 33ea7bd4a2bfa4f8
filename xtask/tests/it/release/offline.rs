//! The offline proof under attack: each build works on this machine, reaches for something outside of its archive, and must
//! not be proved.

use std::fs;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::fixture::{commit, project};
use crate::support::{Finished, marker, need_tools, processes_with, text};

/// A server of the outside world, which every attack tries to reach.
struct Outside {
    directory: tempfile::TempDir,
    port: u16,
    name: String,
    reached: Arc<AtomicUsize>,
}

impl Outside {
    fn new() -> Outside {
        let directory = tempfile::Builder::new().prefix("outside-").tempdir_in("/tmp").unwrap();
        let reached = Arc::new(AtomicUsize::new(0));
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = tcp.local_addr().unwrap().port();
        let name = marker("abstract");
        let path = UnixListener::bind(directory.path().join("socket")).unwrap();
        let hidden = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let count = Arc::clone(&reached);
        std::thread::spawn(move || tcp.incoming().flatten().for_each(|stream| answer(stream, &count)));
        for listener in [path, hidden] {
            let count = Arc::clone(&reached);
            std::thread::spawn(move || listener.incoming().flatten().for_each(|stream| answer(stream, &count)));
        }
        let permissions = fs::Permissions::from_mode(0o755);
        fs::set_permissions(directory.path(), permissions).unwrap();
        Outside { directory, port, name, reached }
    }

    /// A script with the addresses in it.
    fn fill(&self, script: &str) -> String {
        script
            .replace("{port}", &self.port.to_string())
            .replace("{socket}", &text(&self.directory.path().join("socket")))
            .replace("{abstract}", &self.name)
            .replace("{outside}", &text(self.directory.path()))
            .replace("{pid}", &std::process::id().to_string())
    }

    fn reached(&self) -> usize {
        self.reached.swap(0, Ordering::SeqCst)
    }
}

fn answer(mut stream: impl std::io::Read + std::io::Write, count: &AtomicUsize) {
    let mut byte = [0];
    if stream.read(&mut byte).is_ok_and(|read| read == 1) {
        count.fetch_add(1, Ordering::SeqCst);
        stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok").ok(); // The other side may be gone.
    }
}

/// A build whose script succeeds on this machine. The proof must refuse it, unless it needs nothing from outside.
struct Attack {
    name: &'static str,
    script: &'static str,
    poisoned: &'static str,
    /// The words of the refusal; none for a build that is accepted.
    words: &'static [&'static str],
}

const CONNECT: &str = "python3 -c 'import socket, sys\ns = socket.socket(getattr(socket, sys.argv[1]))\n\
    s.connect(eval(sys.argv[2]))\ns.send(b\"x\")\nassert s.recv(1)'";

const ATTACKS: &[Attack] = &[
    Attack {
        name: "by address",
        script: "CONNECT AF_INET '(\"127.0.0.1\", {port})'",
        poisoned: "",
        words: &["offline"],
    },
    Attack { name: "by name", script: "CONNECT AF_INET '(\"localhost\", {port})'", poisoned: "", words: &["offline"] },
    Attack {
        name: "by IPv6",
        script: "CONNECT AF_INET6 '(\"::ffff:127.0.0.1\", {port})'",
        poisoned: "",
        words: &["offline"],
    },
    Attack { name: "through a socket", script: "CONNECT AF_UNIX '\"{socket}\"'", poisoned: "", words: &["offline"] },
    Attack {
        name: "through a link to a socket",
        script: "ln -sf {socket} here\nCONNECT AF_UNIX '\"here\"'",
        poisoned: "",
        words: &["offline"],
    },
    Attack {
        name: "through an abstract socket",
        script: "CONNECT AF_UNIX '\"\\0{abstract}\"'",
        poisoned: "",
        words: &["offline"],
    },
    Attack {
        name: "through a proxy",
        script: "curl --fail --silent --show-error http://example.invalid/",
        poisoned: "",
        words: &["offline"],
    },
    Attack {
        name: "in another network namespace",
        script: "nsenter --net=/proc/{pid}/ns/net CONNECT AF_INET '(\"127.0.0.1\", {port})'",
        poisoned: "",
        words: &["offline"],
    },
    Attack {
        name: "after it uncovers a socket",
        script: "umount {socket} 2>/dev/null\nCONNECT AF_UNIX '\"{socket}\"'",
        poisoned: "",
        words: &["offline"],
    },
    Attack { name: "a tool in PATH", script: "git --version", poisoned: "git", words: &["it called git"] },
    Attack {
        name: "a tool by its absolute path",
        script: "/usr/bin/git --version",
        poisoned: "git",
        words: &["it called git"],
    },
    Attack {
        name: "a tool by a link",
        script: "ln -sf /usr/bin/git vcs\n./vcs --version",
        poisoned: "git",
        words: &["it called git"],
    },
    Attack {
        name: "a tool by another installed name",
        script: "/usr/lib/git-core/git --version",
        poisoned: "git",
        words: &["it called git"],
    },
    Attack {
        name: "a copy of a tool under another name",
        script: "vcs --version",
        poisoned: "git",
        words: &["it called git"],
    },
    Attack {
        name: "a tool after it uncovers it",
        script: "umount /usr/bin/git 2>/dev/null\n/usr/bin/git --version",
        poisoned: "git",
        words: &["it called git"],
    },
    Attack {
        name: "an alternative by its own path",
        script: "/usr/bin/awk 'BEGIN {}'",
        poisoned: "awk",
        words: &["it called awk"],
    },
    Attack {
        name: "a version from git describe",
        script: "v=$(git describe --always); test -n \"$v\"",
        poisoned: "git",
        words: &["it called git"],
    },
];

/// Builds that are honest, and must be accepted.
const HONEST: &[Attack] = &[
    Attack {
        name: "a server of its own",
        script: "python3 -c 'import socket\ns = socket.create_server((\"127.0.0.1\", 0))\nsocket.create_connection(s.getsockname())'",
        poisoned: "git",
        words: &[],
    },
    Attack {
        name: "a socket of its own",
        script: "python3 -c 'import socket\ns = socket.socket(socket.AF_UNIX)\ns.bind(\"own\")\ns.listen()\nsocket.socket(socket.AF_UNIX).connect(\"own\")'",
        poisoned: "",
        words: &[],
    },
    Attack {
        name: "the other name of an alternative",
        script: "$(readlink -f /usr/bin/awk) 'BEGIN {}'",
        poisoned: "awk",
        words: &[],
    },
    Attack {
        name: "a signal to itself is its own end",
        script: "sh -c 'kill -TERM $$' || exit 0; exit 1",
        poisoned: "",
        words: &[],
    },
];

#[test]
fn a_build_that_reaches_outside_is_not_proved() {
    if !need_tools(&[
        ("python3", "python3"),
        ("curl", "curl"),
        ("nsenter", "util-linux"),
        ("git", "git"),
        ("awk", "mawk"),
    ]) {
        return;
    }
    let outside = Outside::new();
    // A copy of git in a directory of PATH.
    let bin = outside.directory.path().join("bin");
    fs::create_dir(&bin).unwrap();
    fs::copy("/usr/bin/git", bin.join("vcs")).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut table = String::new();
    for attack in ATTACKS.iter().chain(HONEST) {
        let script = outside.fill(&attack.script.replace("CONNECT", CONNECT));
        let proxy = format!("http://127.0.0.1:{}", outside.port);

        // On this machine the build works, so that what is refused is what it reaches for.
        let here = tempfile::tempdir().unwrap();
        fs::write(here.path().join("build.sh"), &script).unwrap();
        let built = Command::new("sh")
            .arg("build.sh")
            .current_dir(here.path())
            .env("PATH", &path)
            .env("http_proxy", &proxy)
            .env("GIT_DIR", Path::new(env!("CARGO_MANIFEST_DIR")).join("../.git"))
            .output()
            .unwrap();
        let can_enter = rustix::process::geteuid().is_root() || attack.name != "in another network namespace";
        assert!(built.status.success() || !can_enter, "{}: {}", attack.name, String::from_utf8_lossy(&built.stderr));
        let reaches = outside.reached() > 0;

        let poisoned: Vec<&str> = Some(attack.poisoned).filter(|name| !name.is_empty()).into_iter().collect();
        let declaration = format!(
            "name: p\nversion: {{}}\narchives: [{{format: tar.gz}}]\noffline-proof: {{build: [sh, build.sh], poisoned: {poisoned:?}}}\n"
        );
        let project = project(&declaration).file("build.sh", &script);
        commit(&project);
        let variables =
            [("PATH", path.as_str()), ("http_proxy", &proxy), ("HTTP_PROXY", &proxy), ("ALL_PROXY", &proxy)];
        let mut call = project.xtask(&["release", "prove"]);
        for (name, value) in variables {
            call = call.env(name, value);
        }
        let proved: Finished = call.run();
        let said = proved.transcript();
        assert_eq!(outside.reached(), 0, "{} was reached: {said}", attack.name);
        if attack.words.is_empty() {
            assert_eq!(proved.code(), 0, "{}: {said}", attack.name);
            table.push_str(&format!("accepted  {}\n", attack.name));
        } else {
            assert_eq!(proved.code(), 7, "{}: {said}", attack.name);
            assert!(attack.words.iter().all(|word| said.contains(word)), "{}: {said}", attack.name);
            let how = if reaches { "reaches the network here" } else { "works here" };
            table.push_str(&format!("refused   {} ({how})\n", attack.name));
        }
    }
    println!("{table}");
}

#[test]
fn what_a_build_leaves_behind_ends_with_the_proof_and_what_was_observed_is_recorded() {
    let word = marker("left");
    let script = format!(
        "setsid sh -c 'trap \"\" TERM HUP; exec -a {word} sleep 600 || sleep 600 # {word}' >/dev/null 2>&1 &\n\
         (setsid sh -c 'sleep 600; : {word}' &)\nexit 0\n"
    );
    let declaration = "name: p\nversion: {}\narchives: [{format: tar.gz}]\n\
                       offline-proof: {build: [sh, build.sh], poisoned: [git, no-such-program]}\n";
    let project = project(declaration).file("build.sh", &script);
    commit(&project);
    let proved = project.xtask(&["release", "prove"]).run();
    assert_eq!(proved.code(), 0, "{}", proved.transcript());
    assert_eq!(processes_with(&word).len(), 0, "a process of the build is still there");
    let proof = fs::read_to_string(project.state().join("dist/1.0/proof.json")).unwrap();
    let proof: serde_json::Value = serde_json::from_str(&proof).unwrap();
    let offline = &proof["offline"];
    assert_eq!(offline["interfaces"], serde_json::json!(["lo"]), "{offline}");
    let replaced: Vec<&str> = offline["replaced"].as_array().unwrap().iter().filter_map(|path| path.as_str()).collect();
    assert!(
        replaced.contains(&"/usr/bin/git") && replaced.iter().any(|path| path.ends_with("/poison/no-such-program")),
        "{offline}"
    );
    assert_eq!((&offline["called"], &offline["missing"]), (&serde_json::json!([]), &serde_json::json!([])));

    // What a machine does not allow is recorded, and said.
    let bin = tempfile::tempdir().unwrap();
    let refusing = bin.path().join("unshare");
    let script = "#!/bin/sh\ncase \" $* \" in *' --pid '*) echo 'not permitted' >&2; exit 1 ;; esac\nexec /usr/bin/unshare \"$@\"\n";
    fs::write(&refusing, script).unwrap();
    fs::set_permissions(&refusing, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.path().display(), std::env::var("PATH").unwrap());
    let proved = project.xtask(&["release", "prove"]).env("PATH", &path).run();
    assert_eq!(proved.code(), 0, "{}", proved.transcript());
    assert!(proved.stdout.contains("not isolated by a process namespace"), "{}", proved.transcript());
    let proof = fs::read_to_string(project.state().join("dist/1.0/proof.json")).unwrap();
    let proof: serde_json::Value = serde_json::from_str(&proof).unwrap();
    assert_eq!(proof["offline"]["missing"].as_array().unwrap().len(), 1, "{proof}");
    assert_eq!(processes_with(&word).len(), 0, "a process of the build is still there");
}
