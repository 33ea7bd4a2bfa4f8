//! What ms_print's own rules lead to, where no file of massif gets. The comparison with ms_print itself is in
//! `tests/it/massif.rs`.

use super::*;

fn printed(text: &str) -> String {
    let mut out = Vec::new();
    print(&mut || Ok(Box::new(text.as_bytes())), &Options::default(), &[b"x".to_vec()], &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_cut_file_is_printed_up_to_its_last_whole_snapshot() {
    let snapshot = |number: u64, tree: &str| {
        format!(
            "#-----------\nsnapshot={number}\n#-----------\ntime={number}\nmem_heap_B=10\nmem_heap_extra_B=0\nmem_stacks_B=0\n\
             heap_tree={tree}\n"
        )
    };
    let whole = format!("cmd: x\ntime_unit: B\n{}{}", snapshot(0, "empty"), snapshot(1, "detailed\nn0: 10 (heap)"));
    let cut = format!("{whole}{}n2: 10 (heap)\n n0: 5 x\n", snapshot(2, "detailed"));
    assert_eq!(printed(&cut), printed(&whole));
    assert!(printed(&whole).contains("Number of snapshots: 2\n Detailed snapshots: [1]\n"));
}

#[test]
fn a_command_of_several_lines_is_shown_whole() {
    for (given, expected) in
        [(" ./x a", "./x a"), ("  ./x a#b", "./x a"), (" ./x a\nb\n\n#\nc", "./x a\nb\nc"), ("", "")]
    {
        assert_eq!(String::from_utf8(command(given.as_bytes())).unwrap(), expected);
    }
}
