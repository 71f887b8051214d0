//! Rows of `docs/performance.md`.

/// One row of the table of targets.
pub struct Row {
    pub what: String,
    pub target: &'static str,
    pub measured: String,
    pub met: Met,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Met {
    Goal,
    Must,
    No,
    /// There is no target: it is published.
    Published,
}

impl Met {
    /// Where less is better.
    pub fn at_most(measured: f64, must: f64, goal: f64) -> Self {
        match measured {
            measured if measured <= goal => Self::Goal,
            measured if measured <= must => Self::Must,
            _ => Self::No,
        }
    }

    /// Where more is better.
    pub fn at_least(measured: f64, must: f64, goal: f64) -> Self {
        Self::at_most(-measured, -must, -goal)
    }

    /// Where it either holds or does not.
    pub fn all(holds: bool) -> Self {
        if holds { Self::Goal } else { Self::No }
    }
}

/// Prints rows as they come.
pub struct Table(());

impl Table {
    pub fn begin() -> Self {
        println!("| what | target | measured | met |\n|---|---|---|---|");
        Self(())
    }

    pub fn row(&mut self, row: Row) {
        let met = match row.met {
            Met::Goal => "yes",
            Met::Must => "yes, not the goal",
            Met::No => "**no**",
            Met::Published => "",
        };
        println!("| {} | {} | {} | {met} |", row.what, row.target, row.measured);
    }
}

/// The sections that were named on the command line, or all of them.
pub fn sections<'a>(all: &[&'a str]) -> Vec<&'a str> {
    // `cargo bench` adds `--bench`.
    let named: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    if let Some(unknown) = named.iter().find(|name| !all.contains(&name.as_str())) {
        panic!("no section is called {unknown:?}; there are: {}", all.join(", "));
    }
    let is_wanted = |section: &&&str| named.is_empty() || named.iter().any(|name| name == **section);
    all.iter().filter(is_wanted).copied().collect()
}

/// `1/47` of something.
pub fn fraction(ratio: f64) -> String {
    format!("1/{:.1}", 1.0 / ratio)
}

pub fn nanoseconds(time: f64) -> String {
    match time {
        time if time < 1e3 => format!("{time:.0} ns"),
        time if time < 1e6 => format!("{:.2} µs", time / 1e3),
        time => format!("{:.2} ms", time / 1e6),
    }
}
