//! Readers, on what writers make and what attackers make.
