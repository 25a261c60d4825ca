//! Configurations in which nothing is limited but what a test is about.

/// Nothing is limited.
pub const NO_LIMITS: &str = "budget = \"none\"\nloops = \"none\"\nbreaker = \"none\"\n\
     autonomy = \"none\"\nruns = \"none\"\nspend = \"none\"\n";

/// Lifts everything but what `but` says: each row is tested with the others off.
pub fn only(but: &str) -> String {
    let keys: Vec<&str> = but
        .lines()
        .map(|line| line.trim_start_matches('['))
        .filter_map(|line| line.split(['.', ' ', '=', ']']).next())
        .collect();
    let lifted = NO_LIMITS
        .lines()
        .filter(|line| !keys.iter().any(|key| line.split(' ').next() == Some(*key)));
    let lifted: Vec<&str> = lifted.collect();
    format!("{}\n{but}\n", lifted.join("\n"))
}
