//! The findings and heap profiles that the report shows, taken from the evidence of valgrind and massif.

use std::path::Path;

use super::Page;
use crate::event::AttemptRecord;
use crate::evidence::{Finding, HeapEvidence};
use crate::run::Run;
use drydock_valgrind::massif::{Point, Shape};
use drydock_valgrind::source;
use drydock_valgrind::stack::{self, Frame};

/// The errors of an attempt that were kept.
pub(super) fn errors<'a>(
    page: Page<'a>,
    job: usize,
    record: &'a AttemptRecord,
) -> impl Iterator<Item = Error> + use<'a> {
    let kept = Run::findings_of(job, record);
    kept.map(move |(id, finding)| {
        error(page.causes.get(id).map(|cause| cause.id.clone()), finding, &page.run.plan.project)
    })
}

/// One error that valgrind found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Error {
    /// The identifier of its cause, the same in every run.
    pub(super) id: Option<String>,
    pub(super) kind: String,
    pub(super) what: String,
    /// Frames, innermost first, and the source line of the one to look at.
    pub(super) stack: Vec<(String, Option<String>)>,
    pub(super) more_frames: usize,
    /// Further sentences with their stacks: where a block was allocated, what it conflicts with.
    pub(super) auxiliary: Vec<(String, Vec<String>)>,
}

pub(super) fn error(id: Option<String>, finding: &Finding, project: &Path) -> Error {
    let place = stack::place(&finding.stack);
    let quoted = |(index, frame): (usize, &Frame)| {
        let line = (index == place).then(|| source::line(project, frame)).flatten();
        (frame.describe(), line.map(|line| format!("{} │ {line}", frame.line.unwrap_or_default())))
    };
    Error {
        id,
        kind: finding.kind.clone(),
        what: finding.what.clone(),
        stack: finding.stack.iter().enumerate().map(quoted).collect(),
        more_frames: finding.more_frames,
        auxiliary: finding
            .auxiliary
            .iter()
            .map(|side| (side.what.clone(), side.stack.iter().map(Frame::describe).collect()))
            .collect(),
    }
}

/// The heap of one process over time, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Heap {
    /// The unit of the times: `instructions`, `milliseconds`…
    pub(super) unit: &'static str,
    pub(super) points: Vec<Point>,
    pub(super) peak: u64,
    pub(super) limit: Option<u64>,
    /// The bytes that the baseline allows.
    pub(super) allowed: Option<u64>,
    /// The sites that hold most at the peak, in one line each.
    pub(super) sites: Vec<String>,
    /// Remarks, in sentences.
    pub(super) notes: Vec<String>,
}

/// The heap of an attempt as massif measured it, of the process with the highest peak.
pub(super) fn heap(measured: &HeapEvidence) -> Heap {
    let baseline = measured.baseline.get();
    let mut notes = measured.incomplete.clone();
    notes.extend(
        baseline.and_then(|baseline| Some(format!("more than in {}: {}", baseline.file, baseline.grown.as_ref()?))),
    );
    let mut heap = Heap {
        peak: measured.peak.bytes(),
        limit: measured.limit.map(|limit| limit.bytes()),
        allowed: baseline.map(|baseline| baseline.allowed.bytes()),
        sites: measured.largest_site.iter().cloned().collect(),
        ..Heap::default()
    };
    if let Some(profile) = &measured.profile {
        let shape = match profile.shape {
            Shape::Spike | Shape::Retention => Some(profile.shape.words().to_owned()),
            Shape::Neither | Shape::Unknown => None,
        };
        notes.extend(shape.into_iter().chain(profile.cut.clone()));
        heap.unit = profile.unit.words();
        heap.points.clone_from(&profile.points);
        heap.sites = profile.sites.iter().map(site).collect();
    }
    heap.notes = notes;
    heap
}

fn site(site: &drydock_valgrind::massif::Site) -> String {
    match site.callers.as_slice() {
        [] => site.line(),
        callers => format!("{}, called by {}", site.line(), callers.join(", ")),
    }
}

/// All bytes that were measured at a point.
pub(super) fn total(point: Point) -> u64 {
    point.measured().saturating_add(point.stacks)
}

/// The end of an attempt's log, and the cause if it is further up.
pub(super) fn log_tail(directory: &Path, lines: usize) -> Vec<String> {
    crate::log::excerpt(&directory.join("log"), lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{HeapBaseline, Reading};
    use drydock_base::units::ByteSize;
    use drydock_valgrind::xml::Auxiliary;

    fn frame(function: &str, file: &str, line: u32) -> Frame {
        Frame { function: Some(function.into()), file: Some(file.into()), line: Some(line), ..Frame::default() }
    }

    #[test]
    fn the_place_of_an_error_is_quoted() {
        let project = tempfile::tempdir().unwrap();
        std::fs::write(project.path().join("peer.c"), "one\n  free(peer);\n").unwrap();
        let finding = Finding {
            kind: "InvalidFree".into(),
            what: "Invalid free()".into(),
            stack: vec![frame("drop", "peer.c", 2), frame("main", "peer.c", 1)],
            auxiliary: vec![Auxiliary { what: "Address is on".into(), stack: vec![frame("alloc", "peer.c", 1)] }],
            ..Finding::default()
        };
        let error = error(Some("memcheck:1".into()), &finding, project.path());
        let place = ("drop (peer.c:2)".to_owned(), Some("2 │ free(peer);".to_owned()));
        assert_eq!(error.stack, [place, ("main (peer.c:1)".to_owned(), None)]);
        assert_eq!(error.auxiliary, [("Address is on".to_owned(), vec!["alloc (peer.c:1)".to_owned()])]);
    }

    #[test]
    fn a_heap_without_a_profile_still_says_what_it_may_have() {
        let baseline = HeapBaseline {
            file: "heap.massif".into(),
            peak: ByteSize::new(50),
            tolerance: "10%".parse().unwrap(),
            allowed: ByteSize::new(55),
            grown: Some("f: 9 B".into()),
        };
        let measured = HeapEvidence {
            peak: ByteSize::new(60),
            limit: Some(ByteSize::new(100)),
            largest_site: Some("f (a.c:1): 60 B".into()),
            baseline: Reading::Read(baseline),
            incomplete: vec!["massif.7: it was cut".into()],
            profile: None,
        };
        let heap = heap(&measured);
        assert_eq!((heap.peak, heap.limit, heap.allowed), (60, Some(100), Some(55)));
        assert_eq!(heap.notes, ["massif.7: it was cut", "more than in heap.massif: f: 9 B"]);
        assert_eq!(heap.sites, ["f (a.c:1): 60 B"]);
    }
}
