//! Nightlies in a real docker-registry: what is published, what is skipped, and what stays when a step fails.

mod carried;
mod failures;
mod lanternd;
mod one_commit;
mod project;
mod publish;
mod release;
