//! Every way to fool a supervisor, with the real valgrind: does `ci` still give the right verdict?
//!
//! `cargo test -p drydock --test it fooled -- --nocapture` prints the table. `DRYDOCK_TEST_FOOLED=WORD,WORD` does only
//! the rows whose kind or name contains one of the words.
//!
//! Each kind of deceit has a file with its rows, [`way`] says what a row can have, and [`table`] runs rows.

mod by_suite;
mod consumers;
mod counts;
mod evidence;
mod heap;
mod privileges;
mod table;
mod way;

use crate::support::need_tools;
use way::Way;

/// The rows of all kinds.
fn rows() -> Vec<Way> {
    let kinds = [
        ("what valgrind counts", counts::rows()),
        ("evidence", evidence::rows()),
        ("heap budgets", heap::rows()),
        ("consumers", consumers::rows()),
        ("privileges", privileges::rows()),
        ("valgrind by the suite", by_suite::rows()),
    ];
    let of_kind = |(kind, rows): (&'static str, Vec<Way>)| rows.into_iter().map(move |way| Way { kind, ..way });
    kinds.into_iter().flat_map(of_kind).collect()
}

#[test]
fn table() {
    if !need_tools(&[("gcc", "gcc"), ("valgrind", "valgrind")]) {
        return;
    }
    let wanted = std::env::var("DRYDOCK_TEST_FOOLED").unwrap_or_default();
    let words: Vec<&str> = wanted.split(',').filter(|word| !word.is_empty()).collect();
    let chosen = |way: &Way| words.iter().any(|word| way.kind.contains(word) || way.name.contains(word));
    let ways: Vec<Way> = rows().into_iter().filter(|way| words.is_empty() || chosen(way)).collect();
    let results = table::run(&ways);
    let text = table::render(&results);
    println!("{text}");
    assert!(!results.is_empty(), "no row of that name");
    assert!(results.iter().all(|result| result.problems.is_empty()), "the table has wrong rows");
}
