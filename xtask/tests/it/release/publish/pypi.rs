//! Packages of Python: built with the release, covered by its signatures, uploaded by twine to a real pypiserver, and installed by
//! pip; and whatever the index answers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::Release;
use crate::deb::uploads::Server;
use crate::docker::proxy::{Act, Proxy, Request};
use crate::support::{git, need, need_tools, text};

/// The password of the index, which must not be seen anywhere.
pub(super) const TOKEN: &str = "pypi-S3cretTokenThatNobodySees";
/// It in the format of htpasswd (SHA-1), for the user `__token__`.
const HTPASSWD: &str = "__token__:{SHA}YAKoVVXRk1kc/5yo8Pe8PkGNS/w=\n";

/// The tools, each with its package.
const TOOLS: &[(&str, &str)] =
    &[("twine", "pipx; pipx install twine"), ("pypi-server", "pipx; pipx install pypiserver[passlib]")];

/// The files of a package whose project and file names differ in their letters.
pub(in crate::release) const PACKAGE: [(&str, &str); 3] = [
    (
        "python/pyproject.toml",
        "[build-system]\nrequires = [\"setuptools\"]\nbuild-backend = \"setuptools.build_meta\"\n\
         [project]\nname = \"p-words\"\nversion = \"1.1\"\n[tool.setuptools]\npackages = [\"p_words\"]\n",
    ),
    ("python/p_words/__init__.py", "WORD = \"lantern\"\n"),
    ("python/README.md", "Words.\n"),
];

/// A running index; ended when dropped.
pub(super) struct Index {
    pub(super) server: Server,
    pub(super) packages: PathBuf,
}

impl Index {
    /// An index with a directory for its files, beside which it has its passwords.
    pub(super) fn start(packages: &Path) -> Index {
        fs::create_dir_all(packages).unwrap();
        let passwords = packages.with_extension("htpasswd");
        fs::write(&passwords, HTPASSWD).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new("pypi-server");
        command.args(["run", "--host", "127.0.0.1", "--port", &port.to_string(), "--disable-fallback"]);
        command.args(["--authenticate", "update", "--passwords"]).arg(&passwords).arg(packages);
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let server = Server::new(quiet.spawn().unwrap(), port);
        server.wait_until_it_listens();
        Index { server, packages: packages.to_owned() }
    }

    fn names(&self) -> Vec<String> {
        let names =
            fs::read_dir(&self.packages).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }
}

/// Whether all that this needs is installed.
pub(in crate::release) fn has_tools() -> bool {
    let is_there = |path: &str| Path::new(path).exists();
    need_tools(TOOLS)
        && need(is_there("/usr/lib/python3/dist-packages/build"), "apt-get install python3-build")
        && need(is_there("/usr/lib/python3/dist-packages/wheel"), "apt-get install python3-wheel")
}

/// The declaration of the target.
pub(super) fn target(releases: &str, candidates: &str) -> String {
    let index = |host: &str| format!("{{upload: \"http://{host}/\", simple: \"http://{host}/simple/\"}}");
    format!("- {{pypi: {{packages: [python], index: {}, candidates: {}}}}}\n", index(releases), index(candidates))
}

impl Release {
    /// Publishes with these passwords.
    fn publish_python(&self, token: &str, test_token: &str) -> crate::support::Finished {
        let mut command = self.command(self.world.project.path(), &[]);
        command.env("PYPI_TOKEN", token).env("TESTPYPI_TOKEN", test_token);
        let said: crate::support::Finished = command.output().unwrap().into();
        assert!(!said.transcript().contains(TOKEN), "{}", said.transcript());
        said
    }

    #[track_caller]
    fn python(&self, code: i32, words: &[&str]) {
        let said = self.publish_python(TOKEN, TOKEN);
        let all = format!("{}{}", said.stdout, said.stderr);
        let has_all = words.iter().all(|words| all.contains(words));
        assert!(said.code() == code && has_all, "{words:?}: {}", said.transcript());
    }
}

#[test]
fn a_package_of_python_is_signed_uploaded_and_installed() {
    if !has_tools() {
        return;
    }
    let Some(release) = Release::with(1, "- {images: {}}\n", &PACKAGE) else { return };
    let index = Index::start(&release.world.at("index"));
    let test_index = Index::start(&release.world.at("test-index"));
    let proxy = Proxy::start(&format!("127.0.0.1:{}", index.server.port), |_| Act::Pass);
    release.declare(&target(&proxy.host(), &format!("127.0.0.1:{}", test_index.server.port)));
    let project = release.world.project.path();
    let again = |tag: &str, content: &str| {
        git(project, &["tag", "-d", tag]);
        release.world.commit(tag, content);
    };
    again("v1.1", "four\n");
    release.world.build("1.1", "honest");
    release.sign("alice");

    // They are listed, so that signatures cover them, and a varied rebuild makes the same bytes.
    let sums = fs::read_to_string(release.dist.join("SHA256SUMS")).unwrap();
    let names = ["p-words-1.1.tar.gz", "p_words-1.1-py3-none-any.whl"];
    assert!(names.iter().all(|name| sums.contains(name)), "{sums}");
    let rebuilt = release.world.release(&["verify", "--rebuild", &text(&release.dist)]);
    assert_eq!(rebuilt.code(), 0, "{}", rebuilt.transcript());

    // What the index answers instead.
    let status = |status: u16| move |_: &Request| Act::Response(status, vec![], b"no".to_vec());
    let said = release.publish_python("", TOKEN);
    assert!(said.code() == 4 && said.stderr.contains("set PYPI_TOKEN"), "{}", said.transcript());
    let said = release.publish_python("wrong", TOKEN);
    assert!(said.code() == 8 && said.stderr.contains("is the password in PYPI_TOKEN right"), "{}", said.transcript());
    type Script = Box<dyn Fn(&Request) -> Act + Send + Sync>;
    let upload = |act: fn() -> Act| -> Script {
        Box::new(move |request| if request.method == "POST" { act() } else { Act::Pass })
    };
    let rows: Vec<(&str, Script, &[&str])> = vec![
        ("page 401", Box::new(status(401)), &["cannot ask the target pypi", "401"]),
        ("page 403", Box::new(status(403)), &["403"]),
        ("page and index 404", Box::new(status(404)), &["404", "is `simple` in packaging/release.yaml"]),
        ("page 422", Box::new(status(422)), &["422"]),
        ("page 429", Box::new(|_| Act::Response(429, vec![("retry-after", "100000".into())], vec![])), &["429"]),
        ("page 500", Box::new(status(500)), &["500"]),
        (
            "page of a login",
            Box::new(|_| Act::Response(200, vec![("content-type", "text/plain".into())], vec![])),
            &["neither JSON nor HTML"],
        ),
        (
            "page of another index",
            Box::new(|_| Act::Response(302, vec![("location", "http://127.0.0.1:1/".into())], vec![])),
            &["leads to another host", "--disable-fallback"],
        ),
        ("upload 401", upload(|| Act::Response(401, vec![], vec![])), &["twine did not upload", "401"]),
        (
            "upload 403",
            upload(|| Act::Response(403, vec![], TOKEN.as_bytes().to_vec())),
            &["twine did not upload", "403"],
        ),
        ("upload 409", upload(|| Act::Response(409, vec![], vec![])), &["409"]),
        ("upload 422", upload(|| Act::Response(422, vec![], vec![])), &["422"]),
        ("upload 429", upload(|| Act::Response(429, vec![], vec![])), &["429"]),
        ("upload 500", upload(|| Act::Response(500, vec![], vec![])), &["500"]),
    ];
    let mut table = Vec::new();
    for (name, script, words) in rows {
        proxy.script(script);
        release.python(8, words);
        assert!(index.names().is_empty(), "{name}: {:?}", index.names());
        println!("| pypi | {name} | 8 | nothing is on the index |");
        table.push(name);
    }
    assert_eq!(table.len(), 14);

    // Both answers are lost or cut: the files are there, and so the release goes on. Downloads are slow.
    proxy.script(|request| match request.method.as_str() {
        // It has the whole file, and gets the time to store it.
        "POST" => Act::CutContent(usize::MAX, Box::new(|| std::thread::sleep(Duration::from_secs(2)))),
        _ => {
            std::thread::sleep(Duration::from_millis(300));
            Act::Pass
        }
    });
    release.python(0, &["it failed", "but the result is there", "is published"]);
    assert_eq!(index.names(), names);
    for name in names {
        assert_eq!(fs::read(index.packages.join(name)).unwrap(), fs::read(release.dist.join(name)).unwrap(), "{name}");
    }
    let journal = fs::read_to_string(release.world.project.state().join("publish/1.1.jsonl")).unwrap();
    assert!(journal.contains("\"target\":\"pypi\"") && !journal.contains(TOKEN), "{journal}");
    proxy.script(|_| Act::Pass);
    let posts = proxy.count("POST", "");
    release.python(0, &["downloaded back"]);
    assert_eq!(proxy.count("POST", ""), posts, "nothing is uploaded again");

    // pip installs what was signed.
    let venv = release.world.at("venv");
    let pip = |args: &[&str]| super::super::fixture::run(&release.world.at(""), "/usr/bin/python3", args);
    let host = format!("http://127.0.0.1:{}/simple/", index.server.port);
    pip(&[
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        &text(&venv),
        "--index-url",
        &host,
        "p-words==1.1",
    ]);
    assert_eq!(fs::read_to_string(venv.join("p_words/__init__.py")).unwrap(), "WORD = \"lantern\"\n");

    // Other bytes, a file of somebody else, one that is gone, and a download that is cut.
    let wheel = index.packages.join(names[1]);
    let good = fs::read(&wheel).unwrap();
    fs::write(&wheel, "evil").unwrap();
    release.python(7, &["REFUSED", "there has the SHA-256", "an index never takes another file of this name"]);
    fs::write(&wheel, &good).unwrap();
    let extra = index.packages.join("p_words-1.1-cp311-cp311-linux_x86_64.whl");
    fs::write(&extra, &good).unwrap();
    release.python(7, &["p_words-1.1-cp311-cp311-linux_x86_64.whl is there, which no release.json lists"]);
    fs::remove_file(&extra).unwrap();
    for part in ["/packages", "/simple"] {
        let is_cut = move |request: &Request| request.target.starts_with(part);
        proxy.script(move |request| if is_cut(request) { Act::CutAnswer(9) } else { Act::Pass });
        release.python(8, &["was cut"]);
    }
    proxy.script(|_| Act::Pass);
    fs::remove_file(&wheel).unwrap();
    release.python(7, &["and is gone now", "it cannot be published again under this version"]);

    // A candidate goes to the other index, and a version that the package does not have is refused.
    release.world.commit("v1.2rc1", "candidate\n");
    let built = release.world.release(&["build", "--tag", "v1.2rc1"]);
    assert!(
        built.code() != 0 && built.stderr.contains("has the version 1.1, but this is the release 1.2rc1"),
        "{}",
        built.transcript()
    );
    let file = project.join("python/pyproject.toml");
    fs::write(&file, fs::read_to_string(&file).unwrap().replace("\"1.1\"", "\"1.2-rc.1\"")).unwrap();
    again("v1.2rc1", "candidate 2\n");
    release.world.build("1.2rc1", "other");
    assert_eq!(release.world.release(&["sign", "--key", "alice@example.org"]).code(), 0);
    let before = index.names();
    let said = release.publish_python("not used", TOKEN);
    assert_eq!(said.code(), 0, "{}", said.transcript());
    assert_eq!(test_index.names(), ["p-words-1.2rc1.tar.gz", "p_words-1.2rc1-py3-none-any.whl"]);
    assert_eq!(index.names(), before);
}
