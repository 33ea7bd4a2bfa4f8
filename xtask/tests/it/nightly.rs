//! Nightlies, into a real docker-registry: what is published, what is skipped, and what stays as it was when a step fails.

mod faults;
mod lanternd;
mod nights;
mod project;
