//! Which servers a query is for: `mysql`, `mariadb>=10.6`, `mysql>=8.0 <9.0`.

use std::fmt;

/// Servers of one flavor, of some versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Servers {
    pub is_mariadb: bool,
    /// The first version that is meant.
    pub least: [u16; 3],
    /// The first that is not meant any more.
    pub below: [u16; 3],
}

impl fmt::Display for Servers {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(if self.is_mariadb { "mariadb" } else { "mysql" })?;
        let [least, below] = [self.least, self.below].map(|numbers| numbers.map(|number| number.to_string()).join("."));
        if self.least != ALL.0 {
            write!(out, ">={least}")?;
        }
        if self.below != ALL.1 {
            write!(out, " <{below}")?;
        }
        Ok(())
    }
}

const ALL: ([u16; 3], [u16; 3]) = ([0; 3], [u16::MAX; 3]);

impl Servers {
    /// The error says what would be right.
    pub(crate) fn parse(text: &str) -> Result<Servers, String> {
        let wrong = || format!("`{text}` names no servers; write `mysql` or `mariadb`, or such as `mysql>=8.0 <9.0`");
        let text_of_flavor = text.trim_start();
        let (is_mariadb, mut rest) =
            match (text_of_flavor.strip_prefix("mysql"), text_of_flavor.strip_prefix("mariadb")) {
                (Some(rest), _) => (false, rest),
                (None, Some(rest)) => (true, rest),
                (None, None) => return Err(wrong()),
            };
        let (mut least, mut below) = ALL;
        loop {
            rest = rest.trim_start();
            let (bound, after) = match (rest.strip_prefix(">="), rest.strip_prefix('<')) {
                _ if rest.is_empty() => break,
                (Some(after), _) => (&mut least, after),
                (None, Some(after)) if !after.starts_with('=') => (&mut below, after),
                _ => return Err(format!("{}; bounds are `>=` and `<`", wrong())),
            };
            let after = after.trim_start();
            let end = after.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(after.len());
            *bound = version(&after[..end])
                .ok_or_else(|| format!("{}; a version is such as `10.6` or `8.0.22`", wrong()))?;
            rest = &after[end..];
        }
        match least < below {
            true => Ok(Servers { is_mariadb, least, below }),
            false => Err(format!("`{text}` means no version at all; the first bound must be below the second")),
        }
    }

    /// Whether some server is meant by both.
    pub(crate) fn meets(&self, other: &Servers) -> bool {
        self.is_mariadb == other.is_mariadb && self.least < other.below && other.least < self.below
    }
}

fn version(text: &str) -> Option<[u16; 3]> {
    let mut numbers = [0; 3];
    let parts: Vec<&str> = text.split('.').collect();
    if parts.len() > numbers.len() {
        return None;
    }
    for (number, part) in numbers.iter_mut().zip(parts) {
        *number = part.parse().ok()?;
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flavors_and_versions_are_read() {
        let good = |text: &str| Servers::parse(text).unwrap_or_else(|says| panic!("{says}"));
        assert_eq!(good("mysql"), Servers { is_mariadb: false, least: ALL.0, below: ALL.1 });
        let bounded = Servers { is_mariadb: true, least: [10, 6, 0], below: [11, 0, 3] };
        assert_eq!(good("mariadb>=10.6 <11.0.3"), bounded);
        assert_eq!(good(" mariadb >= 10.6 < 11.0.3"), bounded);
        assert_eq!((bounded.to_string(), good(&bounded.to_string())), ("mariadb>=10.6.0 <11.0.3".to_owned(), bounded));
        for text in ["", "postgres", "mysql=8", "mysql<=8", "mysql>=8.0.0.1", "mysql>=", "mysqld", "mysql>=9 <8"] {
            assert!(Servers::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn two_meet_where_a_server_is_meant_by_both() {
        let meets = |one: &str, other: &str| {
            let [one, other] = [one, other].map(|text| Servers::parse(text).expect("good"));
            assert_eq!(one.meets(&other), other.meets(&one));
            one.meets(&other)
        };
        assert!(meets("mysql", "mysql>=8.0") && meets("mysql>=5.7", "mysql<8.0"));
        assert!(!meets("mysql", "mariadb") && !meets("mysql>=8.0", "mysql<8.0"));
    }
}
