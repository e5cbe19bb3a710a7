//! Clients' hosts that are told as one: `10.1.0.0/16=web`.
//!
//! Containers come and go with an address each; what they run stays. An operator says which hosts are one group, and
//! their sessions and connections are summed under its name.

use super::tally::OTHER;
use crate::mysql::pattern::HostPattern;

/// The groups, in the order in which they are tried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostGroups(Vec<(HostPattern, String)>);

impl HostGroups {
    /// Reads `pattern=name` of each. The error says what would be right.
    pub fn parse(texts: &[String]) -> Result<HostGroups, String> {
        texts.iter().map(|text| group(text)).collect::<Result<_, _>>().map(HostGroups)
    }

    /// What a host is told as: its group, else itself.
    pub fn of<'a>(&'a self, host: &'a str) -> &'a str {
        let is_of = |(pattern, _): &&(HostPattern, String)| !host.is_empty() && pattern.means(host);
        self.0.iter().find(is_of).map_or(host, |(_, name)| name.as_str())
    }
}

/// Reads one `pattern=name`.
pub fn group(text: &str) -> Result<(HostPattern, String), String> {
    let Some((pattern, name)) = text.split_once('=') else {
        return Err(format!("`{text}` names no group; write `{text}=web`"));
    };
    let (pattern, name) = (pattern.trim(), name.trim());
    if pattern.is_empty() {
        return Err(format!("`{text}` has no pattern of hosts; write one such as `10.1.0.0/16={name}`"));
    }
    if name.is_empty() {
        return Err(format!("`{text}` has no name; write one such as `{pattern}=web`"));
    }
    if name == OTHER {
        return Err(format!("`{name}` stands for all that is not told apart; write another name"));
    }
    if name.chars().any(char::is_control) {
        return Err("the name of the group has a control character; write a plain name".to_owned());
    }
    Ok((HostPattern::parse(pattern)?, name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_group_that_fits_counts_and_a_host_of_none_is_itself() {
        let texts = ["10.1.2.3=cron", "10.1.0.0/16 = web", "*.batch.example=batch", "app-*=app"];
        let groups = HostGroups::parse(&texts.map(str::to_owned)).expect("good");
        for (host, told) in [
            ("10.1.2.3", "cron"),
            ("10.1.2.4", "web"),
            ("10.2.0.1", "10.2.0.1"),
            ("a.b.Batch.example", "batch"),
            ("batch.example", "batch.example"),
            ("app-7", "app"),
            ("app-7.example", "app-7.example"),
            ("", ""),
        ] {
            assert_eq!(groups.of(host), told, "{host}");
        }
        let all = HostGroups::parse(&["*=all".to_owned()]).expect("good");
        assert_eq!((all.of("fd00::7"), all.of("localhost"), all.of("")), ("all", "all", ""));
        assert_eq!(HostGroups::default().of("h"), "h");
    }

    #[test]
    fn a_wrong_group_is_told_with_a_way_out() {
        for (text, says) in [
            ("10.1.0.0/16", "`10.1.0.0/16` names no group; write `10.1.0.0/16=web`"),
            ("=web", "has no pattern of hosts"),
            ("10.1.0.0/16=", "has no name"),
            ("10.1.0.1/16=web", "is an address and no network; write `10.1.0.0/16`, or `10.1.0.1`"),
            ("10.1.*=web", "would mean names of any domain"),
            ("we b=web", "has the character ` `"),
            ("10.0.0.0/33=web", "write a number up to 32"),
            ("10.0.0.1:3306=web", "a client's host has no port that stays"),
            ("*=other", "stands for all that is not told apart"),
        ] {
            let told = group(text).expect_err(text);
            assert!(told.contains(says), "{text}: {told}");
        }
    }
}
