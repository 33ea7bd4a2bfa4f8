//! What would be written, as a diff that `git apply` takes.

/// A file that does not exist yet.
pub(super) fn added(file: &str, text: &str) -> String {
    let lines = text.lines().count();
    let mut diff = format!(
        "diff --git a/{file} b/{file}\nnew file mode 100644\n--- /dev/null\n+++ b/{file}\n@@ -0,0 +1,{lines} @@\n"
    );
    text.lines().for_each(|line| diff.push_str(&format!("+{line}\n")));
    diff
}
