//! How much work a pattern may be, by its text.

/// Visits that a pattern which may be tried again and again is taken to cost at each
/// sixteen bytes; so many steps it has at most: see [`STEPS`].
const BACKTRACKING: u64 = 500;

/// Steps after which such a pattern is given up: then nobody knows whether it fits, which
/// refuses.
pub(super) const STEPS: usize = 20_000;

/// What a pattern costs for each sixteen bytes that it looks at: how many places in it
/// there may be at a time.
pub(super) fn weight(pattern: &str) -> u64 {
    let mut times = 1_u64;
    let mut rest = pattern;
    while let Some((before, from)) = rest.split_once('{') {
        let inner = from.split('}').next().unwrap_or_default();
        let counts = inner
            .split(',')
            .filter_map(|count| count.trim().parse().ok());
        let most = counts.max().unwrap_or(1_u64).max(1);
        times = match before.ends_with(')') {
            // A group has within it what was counted so far.
            true => times.saturating_mul(most),
            false => times.saturating_add(most),
        };
        rest = from;
    }
    let length = u64::try_from(pattern.len() / 32).unwrap_or(u64::MAX);
    let steps = match may_backtrack(pattern) {
        true => BACKTRACKING,
        false => 0,
    };
    times.saturating_add(length).saturating_add(steps)
}

/// Whether a pattern says what only an engine can find that tries again and again: a look
/// ahead or behind, what was found before, what is not given back.
pub(super) fn may_backtrack(pattern: &str) -> bool {
    let bytes = pattern.as_bytes();
    bytes.windows(2).any(|pair| match pair {
        [b'\\', next] => next.is_ascii_digit() || matches!(next, b'k' | b'K' | b'g' | b'G'),
        [b'+' | b'*' | b'?' | b'}', b'+'] => true,
        _ => false,
    }) || bytes.windows(3).any(|three| match three {
        [b'(', b'?', next] => *next != b':',
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_weighs_what_it_may_have_to_remember() {
        assert_eq!(weight("^[a-z]+$"), 1);
        assert_eq!(weight("^(a{20}){30,50}$"), 21 * 50);
        assert_eq!(weight("^[0-9]{4}-[0-9]{2}$"), 1 + 4 + 2);
        assert!(weight("(?=.*[A-Z]).{8,}") > BACKTRACKING);
        for plain in ["^(?:a|b)*$", "^\\d{3}\\.$", "a+b"] {
            assert!(!may_backtrack(plain), "{plain}");
        }
        for fancy in ["^(?!x)", "(a)\\1", "a++b", "(?<n>a)\\k<n>"] {
            assert!(may_backtrack(fancy), "{fancy}");
        }
    }
}
