//! `docker prune` against a real registry: images that are kept can be pulled, all others are deleted, even while
//! others change the repository.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use drydock_config::images::{Digest, Platform, Repository, Tag};
use drydock_oci::layout::Layout;
use drydock_oci::model::Descriptor;
use drydock_oci::registry::{Attachment, Reference, Registry, attach, fallback_tag, pull};
use jiff::civil::Date;
use tempfile::TempDir;

use super::other_registries::zuul;
use super::proxy::{Act, Proxy};
use super::registry_server::{Options, Server, skopeo_pull};
use super::test_images::{ImageFactory, project_at, quick_directory, set, stored};
use crate::support::{Finished, Project, need_tool};

const RETENTION: &str = "    retention: {daily: 10, weekly: 4, keep: ['keep-*']}\n";

fn today() -> Date {
    jiff::tz::Offset::UTC.to_datetime(jiff::Timestamp::now()).date()
}

fn day(ago: i64) -> Date {
    today().saturating_sub(jiff::Span::new().days(ago))
}

fn day_tag(ago: i64) -> String {
    format!("nightly-{}", day(ago).strftime("%Y%m%d"))
}

fn prune(project: &Project, args: &[&str]) -> Finished {
    project.xtask(&[&["docker", "prune"], args].concat()).run()
}

#[track_caller]
fn pruned(project: &Project, args: &[&str]) -> Finished {
    let finished = prune(project, args);
    assert_eq!(finished.code(), 0, "{}", finished.transcript());
    finished
}

/// A registry that was filled, and what is known of each tag.
struct Filled {
    factory: ImageFactory,
    registry: Registry,
    repository: Repository,
    /// Everything that a tag needs: manifests and blobs.
    needs: BTreeMap<String, BTreeSet<Digest>>,
}

impl Filled {
    fn image(&self, seed: u64, ago: i64, children: Vec<Descriptor>) -> (Descriptor, Vec<Descriptor>) {
        let created = format!("{}T03:00:00Z", day(ago));
        let labels = [("org.opencontainers.image.created", created.as_str())];
        let mut children = children;
        for platform in [Platform::Amd64, Platform::Arm64].into_iter().skip(children.len()) {
            children.push(self.factory.child(platform, seed * 10 + platform.architecture().len() as u64, &labels));
        }
        (self.factory.index(children.clone()), children)
    }

    /// Pushes an image, with a record and a record of that, and notes what each of its tags needs.
    fn push_nightly(&mut self, top: &Descriptor, with_record: bool, tags: &[&str]) {
        self.factory.push(&self.registry, &self.repository, top, tags);
        let mut needs = self.below(top);
        let mut names: Vec<String> = tags.iter().map(|tag| (*tag).to_owned()).collect();
        let mut subject = top.clone();
        for number in 0..if with_record { 2 } else { 0 } {
            let bytes = format!("{number} {}", subject.digest);
            let file = Attachment { media_type: "text/plain", bytes: bytes.as_bytes(), annotations: &[] };
            let record = attach(&self.registry, &self.repository, &subject, "application/x-test", &[file]).unwrap();
            let list = fallback_tag(&subject.digest).unwrap();
            let head = self.registry.head(&self.repository, &list.clone().into()).unwrap().unwrap();
            needs.extend([record.digest, head.digest, Digest::for_bytes(bytes.as_bytes()), Digest::for_bytes(b"{}")]);
            names.push(list.to_string());
            subject = record;
        }
        for name in names {
            self.needs.entry(name).or_default().extend(&needs);
        }
    }

    /// The digests of everything below an image, as its layout has them.
    fn below(&self, top: &Descriptor) -> BTreeSet<Digest> {
        let value: serde_json::Value = serde_json::from_slice(&self.factory.layout.read(top).unwrap()).unwrap();
        let mut all = BTreeSet::from([top.digest]);
        let of = |key: &str| value[key].as_array().cloned().unwrap_or_default();
        for child in of("manifests") {
            all.extend(self.below(&serde_json::from_value(child).unwrap()));
        }
        for blob in of("layers").into_iter().chain(value.get("config").cloned()) {
            all.insert(serde_json::from_value::<Descriptor>(blob).unwrap().digest);
        }
        all
    }
}

/// 200 tags: 80 nightlies of two platforms, some with a child of the previous nightly, some rebuilt on the same day, some with
/// records; nested indexes, names that are kept, and names of others.
fn filled(server: &Server) -> Filled {
    let (registry, repository) = (server.client(), server.repository("mine/nightly"));
    let mut filled = Filled { factory: ImageFactory::new(), registry, repository, needs: BTreeMap::new() };
    let mut before: Vec<Descriptor> = Vec::new();
    for ago in (0..80_i64).rev() {
        let seed = ago.unsigned_abs();
        let shared = if ago % 5 == 1 { before[..1].to_vec() } else { Vec::new() };
        let (top, children) = filled.image(seed, ago, shared);
        let commit = format!("sha-{seed:012x}");
        let mut tags = vec![day_tag(ago), commit];
        tags.extend((ago == 0).then(|| "nightly".to_owned()));
        tags.extend((ago == 70).then(|| "keep-70".to_owned()));
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        filled.push_nightly(&top, ago % 10 == 0, &tags);
        if ago % 8 == 3 {
            // An earlier build of that day, whose tag has moved on.
            let (earlier, _) = filled.image(1000 + seed, ago, children[1..].to_vec());
            filled.push_nightly(&earlier, false, &[&format!("sha-{:012x}", 1000 + seed)]);
        }
        before = children;
    }
    // An index in an index, of which the one is kept by others and shares the child of a nightly that is removed.
    let (inner, _) = filled.image(75, 75, Vec::new());
    let outer = filled.factory.index(vec![inner]);
    filled.push_nightly(&outer, true, &["bundle-of-others"]);
    let (old_inner, _) = filled.image(2000, 75, Vec::new());
    let old_outer = filled.factory.index(vec![old_inner]);
    filled.push_nightly(&old_outer, true, &["sha-ffffffffffff"]);
    let (other, _) = filled.image(3000, 60, Vec::new());
    for number in 0..6 {
        filled.push_nightly(&other, false, &[&format!("pr-{number}")]);
    }
    filled
}

/// The ages, in days, of the nightlies that are kept: the newest of the last ten days, and of each of the last four weeks.
fn by_age() -> BTreeSet<i64> {
    let week = |ago: i64| {
        let week = day(ago).iso_week_date();
        (week.year(), week.week())
    };
    let mut weeks: BTreeMap<(i16, i8), i64> = BTreeMap::new();
    for ago in (0..80).rev() {
        weeks.insert(week(ago), ago);
    }
    (0..10).chain(weeks.into_values().rev().take(4)).collect()
}

#[test]
fn every_kept_tag_still_pulls_and_all_else_is_gone() {
    let storage = quick_directory();
    let options = Options { storage: Some(storage.path().to_owned()), ..Options::default() };
    let Some(server) = Server::with(options) else { return };
    if !need_tool("skopeo", "skopeo") {
        return;
    }
    let filled = filled(&server);
    let all = filled.registry.tags(&filled.repository).unwrap();
    assert!(all.len() >= 200, "{}", all.len());
    let kept = by_age();
    let stays = |tag: &str| {
        let ago = tag.strip_prefix("sha-").and_then(|hex| i64::from_str_radix(hex, 16).ok());
        let is_kept = kept.iter().any(|ago| day_tag(*ago) == tag) || ago.is_some_and(|ago| kept.contains(&ago));
        let seventy = [day_tag(70), format!("sha-{:012x}", 70)];
        is_kept
            || seventy.contains(&tag.to_owned())
            || ["nightly", "keep-", "bundle-", "pr-"]
                .iter()
                .any(|start| tag.starts_with(start) && !tag.starts_with("nightly-"))
    };
    let mut needed: BTreeSet<Digest> = BTreeSet::new();
    for (tag, needs) in filled.needs.iter().filter(|(tag, _)| stays(tag)) {
        assert!(!needs.is_empty(), "{tag}");
        needed.extend(needs);
    }
    let expected: BTreeSet<&str> = filled
        .needs
        .iter()
        .filter(|(_, needs)| needs.iter().next().is_some() && needs.is_subset(&needed))
        .map(|(tag, _)| tag.as_str())
        .collect();

    let project = project_at(&server.host(), "", RETENTION);
    let planned = pruned(&project, &[]);
    assert!(planned.stdout.contains("nothing was deleted; run again with --apply to delete"), "{}", planned.stdout);
    assert_eq!(filled.registry.tags(&filled.repository).unwrap(), all, "without --apply nothing goes");

    let applied = pruned(&project, &["--apply", "--format", "json"]);
    let report: serde_json::Value = serde_json::from_str(&applied.stdout).unwrap();
    let (report, left) = (&report[0], filled.registry.tags(&filled.repository).unwrap());
    assert_eq!(left.iter().map(Tag::as_str).collect::<BTreeSet<_>>(), expected);
    assert_eq!(report["verified"]["tags"], left.len());
    assert_eq!(report["verified"]["lost"], serde_json::json!([]));

    // What was removed is not there any more, by name or by digest.
    let removed: Vec<Digest> = report["removed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["digest"].as_str().unwrap().parse().unwrap())
        .collect();
    assert!(removed.len() > 150, "{}", removed.len());
    for digest in &removed {
        let found = filled.registry.head(&filled.repository, &Reference::Digest(*digest)).unwrap();
        assert!(found.is_none() && !needed.contains(digest), "{digest}");
    }
    // Exactly what is needed is left on the registry's disk.
    server.collect_garbage();
    assert_eq!(stored(storage.path()), needed.iter().copied().collect::<Vec<_>>());

    let directory = TempDir::new().unwrap();
    let whole = Layout::create(&directory.path().join("whole")).unwrap();
    for tag in &left {
        pull(&filled.registry, &filled.repository, &tag.clone().into(), None, &whole).unwrap();
    }
    // skopeo pulls no index in an index.
    let samples = ["nightly".to_owned(), "keep-70".into(), "pr-4".into(), day_tag(6)];
    for tag in samples.iter().chain(kept.iter().next_back().map(|ago| day_tag(*ago)).as_ref()) {
        let directory = directory.path().join(tag);
        skopeo_pull(&format!("{}:{tag}", filled.repository), &directory).unwrap();
    }

    let again = pruned(&project, &["--apply"]);
    assert!(again.stdout.contains(", 0 removed with 0") && again.stdout.contains("verified"), "{}", again.stdout);
    assert_eq!(filled.registry.tags(&filled.repository).unwrap(), left);
}

#[test]
fn what_was_built_as_a_release_waits_for_its_promotion() {
    let Some(server) = Server::start() else { return };
    let (mut filled, tops) = few(&server);
    let mut push = |seed: u64, ago: i64, version: &str, tags: &[&str]| {
        let created = format!("{}T03:00:00Z", day(ago));
        let labels =
            [("org.opencontainers.image.created", created.as_str()), ("org.opencontainers.image.version", version)];
        let children = [Platform::Amd64, Platform::Arm64]
            .map(|platform| filled.factory.child(platform, seed * 10 + platform.architecture().len() as u64, &labels));
        let top = filled.factory.index(children.into());
        filled.push_nightly(&top, true, tags);
        top
    };
    // The one has the tag of its day, from the other it has moved on.
    let with_day = push(20, 60, "1.0", &["sha-000000000020", &day_tag(60)]);
    let without = push(21, 50, "1.1rc1", &["sha-000000000021"]);
    let nightly = push(22, 50, "1.1-0.nightly20260701.12.g0123456", &["sha-000000000022", &day_tag(50)]);
    let project = project_at(&server.host(), "", RETENTION);
    let applied = pruned(&project, &["--apply"]);
    for (top, version) in [(&with_day, "1.0"), (&without, "1.1rc1")] {
        assert!(is_whole(&filled, top), "{version}: {}", applied.transcript());
        let words = format!("built as the release {version}");
        assert!(applied.stdout.contains(&words), "{}", applied.stdout);
    }
    assert!(!is_whole(&filled, &nightly) && !is_whole(&filled, &tops[0]), "{}", applied.transcript());
}

/// Three old images of two platforms, and one of today.
fn few(server: &Server) -> (Filled, Vec<Descriptor>) {
    let (registry, repository) = (server.client(), server.repository("mine/nightly"));
    let mut filled = Filled { factory: ImageFactory::new(), registry, repository, needs: BTreeMap::new() };
    let mut tops = Vec::new();
    for (seed, ago) in [(1, 70), (2, 69), (3, 68), (4, 0)] {
        let (top, _) = filled.image(seed, ago, Vec::new());
        filled.push_nightly(&top, true, &[&day_tag(ago)]);
        tops.push(top);
    }
    set(&filled.registry, &filled.repository, &tops[3], &["nightly"]);
    (filled, tops)
}

fn is_whole(filled: &Filled, top: &Descriptor) -> bool {
    let directory = TempDir::new().unwrap();
    let layout = Layout::create(directory.path()).unwrap();
    pull(&filled.registry, &filled.repository, &Reference::Digest(top.digest), None, &layout).is_ok()
}

#[test]
fn what_gets_a_tag_meanwhile_stays() {
    let Some(server) = Server::start() else { return };
    let (filled, tops) = few(&server);
    let proxy = Proxy::start(&server.host(), |_| Act::Pass);
    let project = project_at(&proxy.host(), "", RETENTION);
    let rescued: Arc<Mutex<Option<Descriptor>>> = Arc::default();
    let (registry, repository, old) = (filled.registry.clone(), filled.repository.clone(), tops[..3].to_vec());
    let note = rescued.clone();
    proxy.script(move |request| {
        let mut rescued = note.lock().unwrap();
        if request.method == "DELETE" && rescued.is_none() {
            // Somebody keeps another of those that go.
            let other = old.iter().find(|top| !request.target.contains(&top.digest.hex())).unwrap();
            set(&registry, &repository, other, &["keep-this"]);
            *rescued = Some(other.clone());
        }
        Act::Pass
    });
    let applied = pruned(&project, &["--apply"]);
    assert!(
        applied.stderr.contains("the tag keep-this was created; making a new plan for the rest"),
        "{}",
        applied.stderr
    );
    let rescued = rescued.lock().unwrap().clone().unwrap();
    assert!(is_whole(&filled, &rescued) && is_whole(&filled, &tops[3]));
    let gone = tops[..3].iter().filter(|top| !is_whole(&filled, top)).count();
    assert_eq!(gone, 2, "{}", applied.transcript());
}

#[test]
fn an_interrupted_removal_is_finished_by_the_next() {
    let Some(server) = Server::start() else { return };
    let (filled, tops) = few(&server);
    let proxy = Proxy::start(&server.host(), |_| Act::Pass);
    let project = project_at(&proxy.host(), "", RETENTION);
    let ended = Arc::new(AtomicBool::new(false));
    let wait = ended.clone();
    // The first index goes; its children are never reached.
    proxy.script(move |request| {
        while request.method == "DELETE" && request.before == 1 && !wait.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(10));
        }
        Act::Pass
    });
    let mut running = project.xtask(&["docker", "prune", "--apply"]).spawn();
    let waits = running.wait_for(Duration::from_secs(30), || (proxy.count("DELETE", "") == 2).then_some(()));
    assert!(waits.is_some(), "{}", running.wait().transcript());
    running.kill().unwrap();
    assert_ne!(running.wait().code(), 0);
    proxy.script(
        |request| if request.method == "DELETE" { Act::Response(405, Vec::new(), Vec::new()) } else { Act::Pass },
    );
    ended.store(true, Ordering::SeqCst);
    let refused = prune(&project, &["--apply"]);
    assert!(refused.code() == 8 && refused.stderr.contains("storage.delete.enabled"), "{}", refused.transcript());
    proxy.script(|_| Act::Pass);
    pruned(&project, &["--apply"]);
    server.collect_garbage();
    let needs: BTreeSet<Digest> = filled.needs[&day_tag(0)].clone();
    assert_eq!(stored(&server.storage()), needs.into_iter().collect::<Vec<_>>());
    assert!(is_whole(&filled, &tops[3]));
    assert!(pruned(&project, &["--apply"]).stdout.contains(", 0 removed with 0"));
}

#[test]
fn what_cannot_be_understood_is_not_guessed_at() {
    let Some(server) = Server::start() else { return };
    let (filled, tops) = few(&server);
    let project = project_at(&server.host(), "", RETENTION);
    let unknown = prune(&project, &["other"]);
    assert!(unknown.code() == 2 && unknown.stderr.contains("image other is not declared"), "{}", unknown.stderr);
    // A tag of others names an index whose platform is only half of one: what it needs is not known.
    let odd = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": tops[0].media_type,
        "manifests": [{
            "mediaType": tops[0].media_type,
            "digest": tops[0].digest,
            "size": tops[0].size,
            "platform": {"architecture": "amd64"},
        }],
    });
    let theirs: Tag = "theirs".parse().unwrap();
    let bytes = odd.to_string();
    let (registry, repository) = (&filled.registry, &filled.repository);
    registry.put_manifest(repository, &theirs.clone().into(), &tops[0].media_type, bytes.as_bytes()).unwrap();
    let words = format!("theirs needs {}, whose type is unknown", Digest::for_bytes(bytes.as_bytes()));
    let planned = pruned(&project, &[]);
    assert!(planned.stdout.contains(&words), "{}", planned.stdout);
    let refused = prune(&project, &["--apply"]);
    assert!(refused.code() == 1 && refused.stderr.contains("delete that tag first"), "{}", refused.transcript());
    assert!(tops.iter().all(|top| is_whole(&filled, top)), "nothing was deleted");
    registry.delete_manifest(repository, &Digest::for_bytes(bytes.as_bytes())).unwrap();
    pruned(&project, &["--apply"]);
    assert!(!is_whole(&filled, &tops[0]) && is_whole(&filled, &tops[3]));
}

#[test]
fn what_a_registry_calls_unknown_is_deleted_only_if_it_is_gone() {
    let Some(server) = Server::start() else { return };
    let (filled, tops) = few(&server);
    // It hides what this user may not delete, and what the user can read.
    let unknown = br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#;
    let proxy = Proxy::start(&server.host(), |request| match request.method.as_str() {
        "DELETE" => Act::Response(404, Vec::new(), unknown.to_vec()),
        _ => Act::Pass,
    });
    let project = project_at(&proxy.host(), "", RETENTION);
    let refused = prune(&project, &["--apply"]);
    assert_eq!(refused.code(), 8, "{}", refused.transcript());
    for words in ["DELETE", "404 Not Found: MANIFEST_UNKNOWN, manifest unknown; the manifest still exists"] {
        assert!(refused.stderr.contains(words), "{words}: {}", refused.transcript());
    }
    assert!(!refused.stderr.contains("delete 1/"), "{}", refused.transcript());
    assert!(tops.iter().all(|top| is_whole(&filled, top)));
    // Somebody else deletes each at the same moment.
    let (registry, repository) = (filled.registry.clone(), filled.repository.clone());
    proxy.script(move |request| {
        if request.method == "DELETE" {
            let digest: Digest = request.target.rsplit('/').next().unwrap().parse().unwrap();
            assert!(registry.delete_manifest(&repository, &digest).unwrap());
        }
        Act::Pass
    });
    let applied = pruned(&project, &["--apply"]);
    let (lines, by_others) = (applied.stderr.matches("delete ").count(), "; others had deleted it");
    assert!(lines > 0 && applied.stderr.matches(by_others).count() == lines, "{}", applied.transcript());
    assert!(is_whole(&filled, &tops[3]) && !tops[..3].iter().any(|top| is_whole(&filled, top)));
}

#[test]
fn another_registry_says_that_it_deletes_nothing() {
    let Some(server) = zuul() else { return };
    let (registry, repository) = (server.client(), server.repository("mine/nightly"));
    let factory = ImageFactory::new();
    // Only the newest is kept.
    for (seed, ago) in [(1, 90), (2, 60), (3, 0)] {
        let created = format!("{}T03:00:00Z", day(ago));
        let labels = [("org.opencontainers.image.created", created.as_str())];
        let children = [Platform::Amd64, Platform::Arm64]
            .map(|platform| factory.child(platform, seed * 10 + platform.architecture().len() as u64, &labels));
        let top = factory.index(children.to_vec());
        factory.push(&registry, &repository, &top, &[&day_tag(ago)]);
    }
    let project = project_at(&server.host(), "", "    retention: {daily: 1, weekly: 1}\n");
    let call = |args: &[&str]| {
        let call = project.xtask(&[&["docker", "prune"], args].concat());
        server.login().into_iter().fold(call, |call, (name, value)| call.env(name, &value)).run()
    };
    let planned = call(&[]);
    assert!(planned.code() == 0 && planned.stdout.contains(&day_tag(90)), "{}", planned.transcript());
    let refused = call(&["--apply"]);
    assert_eq!(refused.code(), 8, "{}", refused.transcript());
    for words in ["DELETE", "the manifest still exists: this registry has no deletion"] {
        assert!(refused.stderr.contains(words), "{words}: {}", refused.transcript());
    }
    let mut tags: Vec<String> = registry.tags(&repository).unwrap().iter().map(Tag::to_string).collect();
    tags.retain(|tag| tag.starts_with("nightly-"));
    assert_eq!(tags, [day_tag(90), day_tag(60), day_tag(0)], "nothing is gone");
}
