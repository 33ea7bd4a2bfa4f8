//! The client against a server on this machine that plays GitHub on its bad days, and notes all that it is sent.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use drydock_http::{Clock, NetworkEnv, RetryPolicy, Url};
use jiff::Timestamp;

use super::{Api, Settings};
use crate::error::Error;
use crate::model::Artifact;
use crate::rerun::{Rerun, RerunReport};
use crate::token::Token;

const SECRET: &str = "ghp_s3cretTokenThatNobodySees";

/// A clock that is not waited for.
struct Fake(Mutex<(Timestamp, Vec<u64>)>);

impl Clock for Fake {
    fn now(&self) -> Timestamp {
        self.0.lock().unwrap().0
    }

    fn sleep(&self, wait: Duration) {
        let mut state = self.0.lock().unwrap();
        state.0 += wait;
        state.1.push(wait.as_secs());
    }
}

/// A request, as the server got it.
#[derive(Debug, Clone)]
struct Got {
    line: String,
    has_token: bool,
}

/// A response: status, headers and content.
type Said = (u16, Vec<(&'static str, String)>, String);
type Script = Box<dyn FnMut(&str, &str) -> Said + Send>;

/// A server; it ends with the process.
struct Server {
    address: String,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Server {
    /// `script` gets the address of the server and the request, `GET /path`.
    fn new(mut script: Script) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let got = Arc::new(Mutex::new(Vec::new()));
        let (of_thread, notes) = (address.clone(), Arc::clone(&got));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let Some(request) = read(&stream) else { continue };
                let line = request.line.clone();
                notes.lock().unwrap().push(request);
                let (status, headers, content) = script(&of_thread, &line);
                if status == 0 {
                    continue;
                }
                let mut text = format!("HTTP/1.1 {status} x\r\nconnection: close\r\n");
                for (name, value) in &headers {
                    text.push_str(&format!("{name}: {value}\r\n"));
                }
                if !headers.iter().any(|(name, _)| *name == "content-length") {
                    text.push_str(&format!("content-length: {}\r\n", content.len()));
                }
                stream.write_all(format!("{text}\r\n{content}").as_bytes()).ok();
            }
        });
        Server { address, got }
    }

    fn lines(&self) -> Vec<String> {
        self.got.lock().unwrap().iter().map(|got| got.line.clone()).collect()
    }
}

fn read(stream: &TcpStream) -> Option<Got> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    let line = first.strip_suffix(" HTTP/1.1")?.to_owned();
    let mut has_token = false;
    for header in lines.map_while(Result::ok).take_while(|header| !header.is_empty()) {
        has_token |= header == format!("authorization: Bearer {SECRET}");
        assert!(header.starts_with("authorization: ") || !header.contains(SECRET), "{header}");
    }
    Some(Got { line, has_token })
}

struct World {
    server: Server,
    api: Api,
    clock: Arc<Fake>,
    notices: Arc<Mutex<Vec<String>>>,
}

fn world(script: impl FnMut(&str, &str) -> Said + Send + 'static) -> World {
    let server = Server::new(Box::new(script));
    let clock = Arc::new(Fake(Mutex::new(("2026-11-20T10:00:00Z".parse().unwrap(), Vec::new()))));
    let policy = RetryPolicy { clock: clock.clone(), ..RetryPolicy::default() };
    let settings = Settings {
        api: Url::parse(&server.address).unwrap(),
        token: Token::new(&|name| (name == "GITHUB_TOKEN").then(|| format!(" {SECRET}\n").into())),
        network: NetworkEnv::default(),
        longest_wait: Duration::from_secs(3700),
        policy,
    };
    let notices = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&notices);
    let api = Api::new(settings, "o/r".parse().unwrap(), move |line| into.lock().unwrap().push(line.into())).unwrap();
    World { server, api, clock, notices }
}

impl World {
    /// The waits in seconds, without those of a second before each change.
    fn waits(&self) -> Vec<u64> {
        self.clock.0.lock().unwrap().1.iter().copied().filter(|wait| *wait > 1).collect()
    }
}

fn json(text: &str) -> Said {
    (200, vec![("content-type", "application/json".into())], text.into())
}

fn run(attempt: u64, status: &str, conclusion: Option<&str>) -> String {
    let conclusion = conclusion.map_or("null".to_owned(), |word| format!("\"{word}\""));
    format!(
        "{{\"id\": 7, \"run_attempt\": {attempt}, \"status\": \"{status}\", \"conclusion\": {conclusion}, \
         \"created_at\": \"2026-11-19T10:00:00Z\", \"head_sha\": \"abc\", \"name\": \"ci\"}}"
    )
}

fn job(id: u64, name: &str, attempt: u64, conclusion: &str) -> String {
    format!(
        "{{\"id\": {id}, \"name\": \"{name}\", \"run_attempt\": {attempt}, \"status\": \"completed\", \
         \"conclusion\": \"{conclusion}\", \"steps\": [], \"runner_id\": 3}}"
    )
}

fn jobs(all: &[String]) -> Said {
    json(&format!("{{\"total_count\": {}, \"jobs\": [{}]}}", all.len(), all.join(",")))
}

fn refused(status: u16, message: &str, headers: Vec<(&'static str, String)>) -> Said {
    (
        status,
        headers,
        format!("{{\"message\": \"{message}\", \"documentation_url\": \"https://docs.github.com/rest\"}}"),
    )
}

#[test]
fn limits_outages_and_cut_pages_are_waited_for() {
    let mut count = 0;
    let world = world(move |_, _| {
        count += 1;
        match count {
            1 => refused(403, "You have exceeded a secondary rate limit", vec![("retry-after", "37".into())]),
            2 => {
                let reset = "2026-11-20T10:30:00Z".parse::<Timestamp>().unwrap().as_second().to_string();
                refused(429, "limit", vec![("x-ratelimit-remaining", "0".into()), ("x-ratelimit-reset", reset)])
            }
            3 => (502, Vec::new(), "<html>Unicorn!</html>".into()),
            4 => (200, vec![("content-length", "500".into())], "{\"id\": 7,".into()),
            5 => (0, Vec::new(), String::new()),
            _ => json(&run(1, "completed", Some("success"))),
        }
    });
    assert!(world.api.run(7).unwrap().has_passed());
    // After the first wait, the limit ends in 30 minutes less 37 seconds, and one more for other clocks.
    assert_eq!(world.waits()[..3], [37, 1800 - 37 + 1, 2]);
    assert_eq!(world.notices.lock().unwrap()[0], "GitHub asks to wait 37 s (403)");
    assert!(world.server.got.lock().unwrap().iter().all(|got| got.has_token));
}

#[test]
fn a_wait_that_is_too_long_and_what_no_wait_changes_are_errors() {
    for (said, expected) in [
        (refused(403, "x", vec![("retry-after", "7200".into())]), "it asks to wait 7200 s before GET http"),
        (
            refused(403, "Resource not accessible by integration", vec![]),
            "403: Resource not accessible by integration; may the token",
        ),
        (refused(404, "Not Found", vec![]), "404: Not Found; is the name of the repository right"),
        (refused(401, "Bad credentials", vec![]), "401: Bad credentials; GitHub does not accept the token"),
        (refused(410, "a\\r\\n::error::b\\u001b[31m", vec![]), "410: a  ::error::b"),
        (json("{\"id\": 7}"), "unexpected response to GET actions/runs/7"),
        ((200, vec![], "[".repeat(100_000)), "it is not JSON"),
        ((302, vec![("location", "https://evil.example/".into())], String::new()), "it redirects to another host"),
    ] {
        let world = world(move |_, _| said.clone());
        let error = world.api.run(7).unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains(SECRET), "{error}");
    }
}

#[test]
fn lists_are_read_to_their_end_and_a_list_that_is_cut_is_an_error() {
    let page = |count: u64, entries: &[u64], next: Option<String>| -> Said {
        let all: Vec<String> = entries.iter().map(|id| job(*id, &format!("j{id}"), 1, "success")).collect();
        let mut said = json(&format!("{{\"total_count\": {count}, \"jobs\": [{}]}}", all.join(",")));
        said.1.extend(next.map(|next| ("link", format!("<{next}>; rel=\"next\", <x>; rel=\"last\""))));
        said
    };
    let two = move |here: &str, line: &str| {
        if line.contains("page=2") {
            page(4, &[3, 4], None)
        } else {
            page(4, &[1, 2, 3], Some(format!("{here}/repositories/5/jobs?page=2")))
        }
    };
    let names = world(two);
    assert_eq!(names.api.jobs(7).unwrap().iter().map(|job| job.id).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(names.server.lines()[0], "GET /repos/o/r/actions/runs/7/jobs?filter=latest&per_page=100");
    for (next, expected) in [
        (None, "the list has 3 of 4 entries"),
        (Some("https://evil.example/jobs?page=2"), "the next page is on another host"),
        (Some("HERE/jobs?page=1"), "the pages of the list do not end"),
    ] {
        let next = next.map(str::to_owned);
        let world = world(move |here, _| page(4, &[1, 2, 3], next.as_ref().map(|next| next.replace("HERE", here))));
        let error = world.api.jobs(7).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

fn artifact(digest: Option<&str>) -> Artifact {
    Artifact { id: 9, name: "a".into(), size_in_bytes: 3, expired: false, digest: digest.map(Into::into) }
}

#[test]
fn files_are_fetched_without_the_token_by_links_that_are_asked_for_again() {
    // The storage is another origin, and its first link has expired.
    let mut asked = 0;
    let storage = Server::new(Box::new(move |_, _| {
        asked += 1;
        match asked {
            1 => (403, Vec::new(), "<Error>Signature not valid in the specified time frame</Error>".into()),
            2 => (200, vec![("content-length", "9".into())], "abc".into()),
            _ => (200, Vec::new(), "abc".into()),
        }
    }));
    let link = storage.address.clone();
    let world = world(move |_, _| (302, vec![("location", format!("{link}/zip?sig=s3cret"))], String::new()));
    let abc = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let mut file = tempfile::tempfile().unwrap();
    world.api.artifact(&artifact(Some(abc)), &mut file, 100).unwrap();
    let mut text = String::new();
    std::io::Seek::rewind(&mut file).unwrap();
    file.read_to_string(&mut text).unwrap();
    assert_eq!((text.as_str(), world.server.lines().len()), ("abc", 3));
    assert!(world.server.got.lock().unwrap().iter().all(|got| got.has_token));
    assert!(storage.got.lock().unwrap().iter().all(|got| !got.has_token), "the token went to another host");

    let fails = |digest: &str, most: u64| {
        let error = world.api.artifact(&artifact(Some(digest)), &mut tempfile::tempfile().unwrap(), most);
        error.unwrap_err().to_string()
    };
    let error = fails("sha256:00", 100);
    assert!(error.contains("but GitHub says 00") && !error.contains("sig="), "{error}");
    assert!(fails(abc, 2).contains("larger than the limit of 2 bytes"));
    let expired = Artifact { expired: true, ..artifact(None) };
    let error = world.api.artifact(&expired, &mut tempfile::tempfile().unwrap(), 9).unwrap_err().to_string();
    assert!(error.contains("GitHub has deleted"), "{error}");
    for location in ["http://evil.example/x", "file:///etc/passwd", "https://u:p@evil.example/"] {
        let world = self::world(move |_, _| (302, vec![("location", location.into())], String::new()));
        let error = world.api.log(1, &mut tempfile::tempfile().unwrap(), 9).unwrap_err().to_string();
        assert!(error.contains("it redirects to an"), "{error}");
    }
}

/// GitHub with one run: who asks for a rerun gets it once the run has ended, and sees it end two questions later.
struct Actions {
    attempt: u64,
    /// Questions until the run ends.
    busy: u32,
    /// Responses to requests for a rerun that come before the usual ones.
    refusals: Vec<Said>,
    /// Whether the first refusal comes because somebody else starts an attempt.
    taken: bool,
    /// Conclusions of `a`, `m (1/2)` and `m (2/2)` by attempt.
    conclusions: Vec<[&'static str; 3]>,
}

impl Actions {
    fn respond(&mut self, line: &str) -> Said {
        let attempt = usize::try_from(self.attempt).unwrap() - 1;
        let conclusions = self.conclusions[attempt.min(self.conclusions.len() - 1)];
        if line.contains("/jobs?") {
            let names = ["a", "m (1/2)", "m (2/2)"].into_iter().zip(conclusions).enumerate();
            let id = |at: usize| self.attempt * 100 + at as u64;
            let all: Vec<String> = names.map(|(at, (name, end))| job(id(at), name, self.attempt, end)).collect();
            return jobs(&all);
        }
        if line.starts_with("GET ") {
            let busy = self.busy > 0;
            self.busy = self.busy.saturating_sub(1);
            let passed = conclusions.iter().all(|end| *end == "success");
            let conclusion = if passed { "success" } else { "failure" };
            return json(&if busy {
                run(self.attempt, "in_progress", None)
            } else {
                run(self.attempt, "completed", Some(conclusion))
            });
        }
        if !self.refusals.is_empty() {
            if std::mem::take(&mut self.taken) {
                (self.attempt, self.busy) = (self.attempt + 1, 3);
            }
            return self.refusals.remove(0);
        }
        if line.contains("/jobs/") && !line.contains(&format!("/jobs/{}0", self.attempt)) {
            return refused(403, "Only jobs from the current attempt can be re-run", vec![]);
        }
        (self.attempt, self.busy) = (self.attempt + 1, 2);
        (201, Vec::new(), "{}".into())
    }
}

fn rerun(mut actions: Actions, names: &[&str]) -> (World, Result<RerunReport, Error>) {
    let world = world(move |_, line| actions.respond(line));
    let jobs = names.iter().map(|name| (*name).to_owned()).collect();
    let seconds = Duration::from_secs;
    let report = Rerun { run: 7, jobs, every: seconds(15), at_most: seconds(600) }.run(&world.api);
    (world, report)
}

fn actions(busy: u32, refusals: Vec<Said>) -> Actions {
    let conclusions = vec![["success", "failure", "cancelled"], ["success", "success", "success"]];
    Actions { attempt: 1, busy, refusals, taken: false, conclusions }
}

fn posts(world: &World) -> Vec<String> {
    let posts = world.server.lines().into_iter();
    posts.filter_map(|line| Some(line.strip_prefix("POST /repos/o/r/actions/")?.to_owned())).collect()
}

#[test]
fn what_failed_is_run_again_once_the_run_has_ended() {
    let (world, report) = rerun(actions(3, Vec::new()), &[]);
    let report = report.unwrap();
    assert_eq!(posts(&world), ["runs/7/rerun-failed-jobs"]);
    assert!(report.run.has_passed() && report.run.run_attempt == 2 && report.before == 1);
    let changes: HashMap<&str, (Option<&str>, Option<&str>)> =
        report.jobs.iter().map(|job| (job.name.as_str(), (job.before.as_deref(), job.after.as_deref()))).collect();
    assert_eq!(changes["m (2/2)"], (Some("cancelled"), Some("success")));
    let notices = world.notices.lock().unwrap().join("\n");
    assert!(notices.starts_with("run 7 is still going on; waiting for its end"), "{notices}");
}

#[test]
fn jobs_are_named_by_the_newest_attempt() {
    for (names, expected) in [
        (&["m (1/2)"][..], &["jobs/101/rerun"][..]),
        (&["a"], &["jobs/100/rerun"]),
        // All that failed are one attempt; others are one attempt each, with new ids.
        (&["m"], &["runs/7/rerun-failed-jobs"]),
        (&["m (2/2)", "m (1/2)", "m (2/2)"], &["runs/7/rerun-failed-jobs"]),
        (&["m (2/2)", "a"], &["jobs/100/rerun", "jobs/202/rerun"]),
    ] {
        let (world, report) = rerun(actions(0, Vec::new()), names);
        report.unwrap();
        assert_eq!(posts(&world), expected, "{names:?}");
    }
    let (world, report) = rerun(actions(0, Vec::new()), &["m (3/2)"]);
    assert_eq!(report.unwrap_err().to_string(), "the run has no job `m (3/2)`; did you mean `m (1/2)`?");
    assert!(posts(&world).is_empty());
}

#[test]
fn refusals_that_pass_are_waited_for_and_others_are_quoted() {
    // Somebody else was quicker: that attempt is waited for, and then the job is run again, by its new id.
    let running = refused(403, "The workflow run containing this job is already running", vec![]);
    let (world, report) = rerun(Actions { taken: true, ..actions(0, vec![running]) }, &[]);
    assert_eq!((report.unwrap().run.run_attempt, posts(&world).len()), (3, 2));
    // A gateway failed, and nobody knows whether the request arrived.
    for said in [(502, Vec::new(), String::new()), (0, Vec::new(), String::new())] {
        let (world, report) = rerun(actions(0, vec![said]), &[]);
        assert_eq!((report.unwrap().run.run_attempt, posts(&world).len()), (2, 2));
    }
    let secondary = refused(403, "You have exceeded a secondary rate limit", vec![("retry-after", "61".into())]);
    let (world, report) = rerun(actions(0, vec![secondary]), &[]);
    assert!(report.unwrap().run.has_passed() && world.waits().contains(&61));
    let (_, report) = rerun(actions(0, vec![refused(403, "its workflow file may be broken", vec![])]), &[]);
    assert!(report.unwrap_err().to_string().contains("403: its workflow file may be broken"));
    // A run that does not end.
    let (world, report) = rerun(actions(1000, Vec::new()), &[]);
    assert!(report.unwrap_err().to_string().contains("has not ended in the time given by --wait"));
    assert!(posts(&world).is_empty());
}

#[test]
fn a_run_that_github_does_not_run_again_says_why() {
    let of_run = |text: String, conclusions: [&'static str; 3]| {
        let mut inner = Actions { conclusions: vec![conclusions], ..actions(0, Vec::new()) };
        let world = world(move |_, line| {
            let is_run = line.starts_with("GET ") && !line.contains("/jobs");
            if is_run { json(&text) } else { inner.respond(line) }
        });
        let seconds = Duration::from_secs;
        let error =
            Rerun { run: 7, jobs: Vec::new(), every: seconds(15), at_most: seconds(600) }.run(&world.api).unwrap_err();
        assert!(posts(&world).is_empty());
        error.to_string()
    };
    let failed = ["failure", "success", "success"];
    let ended = run(1, "completed", Some("failure"));
    let old = ended.replace("2026-11-19", "2026-10-01");
    assert!(of_run(old, failed).contains("is 50 days old, and GitHub runs jobs again for 30 days only"));
    let used = run(51, "completed", Some("failure"));
    assert!(of_run(used, failed).contains("has had 51 attempts, and GitHub allows 50 reruns"));
    assert!(of_run(ended, ["success", "success", "skipped"]).contains("no job of run 7 failed"));
}

#[test]
fn a_token_is_sent_only_with_encryption_and_never_shown() {
    let with = |api: &'static str| {
        let variable = move |name: &str| match name {
            "GITHUB_API_URL" => Some(api.into()),
            "GH_TOKEN" => Some(SECRET.into()),
            _ => None,
        };
        Settings::new(&variable).map(|settings| format!("{:?} {}", settings.token, settings.api.whole()))
    };
    assert_eq!(with("https://git.example/api/v3/").unwrap(), "Some(Token(…)) https://git.example/api/v3");
    assert_eq!(with("").unwrap(), "Some(Token(…)) https://api.github.com/");
    for api in ["http://git.example", "ftp://git.example", "https://u:p@git.example"] {
        assert!(with(api).is_err_and(|error| !error.to_string().contains(SECRET)), "{api}");
    }
}
