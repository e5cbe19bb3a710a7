//! Names that are many, folded into the few that count most and `other`.

use std::collections::{BTreeMap, BTreeSet};

/// What stands for all names that are left out.
pub const OTHER: &str = "other";

/// The names that count most; of equals the first by name.
pub(super) fn top<'a>(counts: &BTreeMap<&'a str, f64>, most: usize) -> BTreeSet<&'a str> {
    let mut sorted: Vec<(&'a str, f64)> = counts.iter().map(|(name, count)| (*name, *count)).collect();
    sorted.sort_by(|(one, of_one), (other, of_other)| of_other.total_cmp(of_one).then(one.cmp(other)));
    sorted.into_iter().take(most).map(|(name, _)| name).collect()
}

/// A name, if it is one of those.
pub(super) fn folded<'a>(name: &'a str, kept: &BTreeSet<&str>) -> &'a str {
    if kept.contains(name) { name } else { OTHER }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_are_kept_and_of_equals_the_first_by_name() {
        let counts = BTreeMap::from([("a", 1.0), ("b", 3.0), ("c", 1.0), ("d", 2.0)]);
        let kept = top(&counts, 3);
        assert_eq!(kept.iter().copied().collect::<Vec<_>>(), ["a", "b", "d"]);
        assert_eq!((folded("b", &kept), folded("c", &kept)), ("b", OTHER));
    }
}
