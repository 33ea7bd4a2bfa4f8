//! What would be written, as a diff that `git apply` takes.

use super::drafts::Drafted;

/// A file that does not exist yet.
pub(super) fn added(Drafted { file, text, executable, .. }: &Drafted) -> String {
    let lines = text.lines().count();
    let mode = if *executable { "755" } else { "644" };
    let mut diff = format!(
        "diff --git a/{file} b/{file}\nnew file mode 100{mode}\n--- /dev/null\n+++ b/{file}\n@@ -0,0 +1,{lines} @@\n"
    );
    text.lines().for_each(|line| diff.push_str(&format!("+{line}\n")));
    diff
}
