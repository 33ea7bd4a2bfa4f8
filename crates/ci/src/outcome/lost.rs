//! The verdict on an attempt that ended together with the Drydock that ran it.

use super::memory::more_memory;
use super::{MemoryScope, Outcome, Verdict, Victim};
use crate::evidence::{Evidence, SupervisorLoss};

/// The verdict, and whether further observations may support it.
pub(super) enum Lost {
    /// Something else is proved.
    Proved(Verdict),
    /// It was lost.
    Supported(Verdict),
}

pub(super) fn lost_with_drydock(evidence: &Evidence) -> Lost {
    let lost =
        |confidence| Verdict::new(Outcome::Lost, confidence, "the journal records a start but no end of this attempt");
    let out_of_memory = |scope, because: String| {
        let outcome = Outcome::OutOfMemory { scope, victim: Victim::Main };
        let verdict = Verdict::new(outcome, 0.95, because).and("Drydock was killed with it, and recorded no end");
        Lost::Proved(more_memory(verdict, scope))
    };
    match &evidence.supervisor {
        None => Lost::Supported(lost(0.9)),
        Some(SupervisorLoss::Restarted) => Lost::Supported(
            lost(0.99).and("the machine was restarted since: the kernel's identifier of this boot is another"),
        ),
        Some(SupervisorLoss::Machine { heard }) => {
            let heard =
                jiff::Timestamp::from_millisecond(*heard).map_or_else(|_| "?".to_owned(), |at| format!("{at:.0}"));
            Lost::Supported(
                lost(0.95).and(format!("its machine was lost (a lost runner): nothing came from it after {heard}")),
            )
        }
        Some(SupervisorLoss::GroupKilled { group, kills }) => out_of_memory(
            MemoryScope::Machine,
            format!(
                "the kernel killed all processes of the cgroup {group} for lack of memory (`memory.oom.group`), {kills} \
                 {} since the run began",
                if *kills == 1 { "time" } else { "times" }
            ),
        ),
        Some(SupervisorLoss::Userspace(kill)) => {
            out_of_memory(MemoryScope::Userspace, format!("{} says: {}", kill.by, kill.message))
        }
        Some(SupervisorLoss::Unknown { kills, group }) => {
            let mut verdict = lost(0.9);
            if let Some(group) = group {
                verdict = verdict.and(format!(
                    "it ran in the cgroup {group}, whose processes the kernel kills together when memory runs out \
                     (`memory.oom.group`): that is a likely cause (0.6)"
                ));
            } else if *kills > 0 {
                verdict = verdict.and(format!(
                    "the machine's count of out-of-memory kills rose by {kills} since the run began, and Drydock may \
                     have been among the victims (0.5)"
                ));
            }
            Lost::Supported(verdict)
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::evidence::{End, Evidence, SupervisorLoss, UserspaceKill};
    use crate::outcome::judge;

    #[track_caller]
    fn check(supervisor: Option<SupervisorLoss>, word: &str, confidence: f64, reason: &str) {
        let verdict = judge(&Evidence { supervisor, ..Evidence::new(End::NoRecord) });
        assert_eq!((verdict.outcome.word(), verdict.confidence), (word, confidence), "{verdict:#?}");
        assert!(verdict.reasons.iter().any(|said| said.contains(reason)), "{verdict:#?}");
    }

    #[test]
    fn the_end_of_drydock_is_judged_by_what_it_left() {
        check(None, "lost", 0.9, "no end of this attempt");
        check(Some(SupervisorLoss::Restarted), "lost", 0.99, "the machine was restarted");
        check(
            Some(SupervisorLoss::Machine { heard: 0 }),
            "lost",
            0.95,
            "nothing came from it after 1970-01-01T00:00:00Z",
        );
        let killed = SupervisorLoss::GroupKilled { group: "/sys/fs/cgroup/pod".into(), kills: 1 };
        check(
            Some(killed),
            "out-of-memory",
            0.95,
            "/sys/fs/cgroup/pod for lack of memory (`memory.oom.group`), 1 time",
        );
        let oomd = UserspaceKill { by: "systemd-oomd".into(), message: "Killed /user.slice".into() };
        check(Some(SupervisorLoss::Userspace(oomd)), "out-of-memory", 0.95, "systemd-oomd says: Killed /user.slice");
        check(Some(SupervisorLoss::Unknown { kills: 2, group: None }), "lost", 0.9, "rose by 2 since the run began");
        check(Some(SupervisorLoss::Unknown { kills: 0, group: Some("/pod".into()) }), "lost", 0.9, "cgroup /pod");
    }
}
