//! Errors that valgrind counts, and that its XML does not show.

use super::way::Way;

/// A block that is still reachable at the end.
const REACHABLE: &str = "
#include <stdlib.h>
void *keep;
int main(void) { keep = malloc(100); return 0; }
";

pub(crate) fn rows() -> Vec<Way> {
    vec![
        Way::new("reachable-shown", "run: [./r], tool: memcheck, tool-args: [--leak-check=full, --show-leak-kinds=all, --errors-for-leak-kinds=all]", "findings{1}")
            .c("r", REACHABLE),
    ]
}
