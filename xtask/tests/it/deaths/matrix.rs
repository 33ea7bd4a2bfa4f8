//! The confusion matrix: what killed a job, against what `xtask` says killed it, under each containment.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// A column: how the jobs are contained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Column {
    V1,
    None,
    V2,
}

impl Column {
    pub(crate) const ALL: [Self; 3] = [Self::V1, Self::None, Self::V2];

    /// The value of `--containment`.
    pub(crate) fn flag(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::None => "none",
            Self::V2 => "v2",
        }
    }

    /// The name of the containment in `run.json`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::V1 => "cgroup-v1",
            Self::None => "none",
            Self::V2 => "cgroup-v2",
        }
    }

    /// Whether each job has a cgroup of its own, and can have a limit.
    pub(crate) fn contains(self) -> bool {
        self != Self::None
    }
}

/// One cell: a cause of death under one containment.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Cell {
    pub(crate) cause: String,
    pub(crate) column: Column,
    pub(crate) verdict: String,
    pub(crate) confidence: Option<f64>,
    /// The errors of this cell; empty if it is right.
    pub(crate) problems: Vec<String>,
}

/// The matrix as text, with an account of each wrong cell.
pub(crate) fn render(cells: &[Cell]) -> String {
    let mut causes: Vec<&str> = Vec::new();
    for cell in cells {
        if !causes.contains(&cell.cause.as_str()) {
            causes.push(&cell.cause);
        }
    }
    let mut text = format!("\n{:31}", "cause");
    for column in Column::ALL {
        write!(text, "{:31}", column.name()).unwrap();
    }
    for cause in causes {
        write!(text, "\n{cause:31}").unwrap();
        for column in Column::ALL {
            let cell = cells.iter().find(|cell| cell.cause == cause && cell.column == column);
            let shown = cell.map_or_else(|| "  –".to_owned(), short);
            write!(text, "{shown:31}").unwrap();
        }
    }
    let wrong: Vec<_> = cells.iter().filter(|cell| !cell.problems.is_empty()).collect();
    writeln!(text, "\n\n{} of {} cells are right", cells.len() - wrong.len(), cells.len()).unwrap();
    for cell in wrong {
        writeln!(text, "\n✗ {} under {}:", cell.cause, cell.column.name()).unwrap();
        for problem in &cell.problems {
            writeln!(text, "  - {}", problem.trim_end().replace('\n', "\n    ")).unwrap();
        }
    }
    text
}

fn short(cell: &Cell) -> String {
    let mark = if cell.problems.is_empty() { ' ' } else { '✗' };
    match cell.confidence {
        Some(confidence) => format!("{mark} {} {confidence:.2}", cell.verdict),
        None => format!("{mark} {}", cell.verdict),
    }
}
