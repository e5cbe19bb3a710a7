//! What is known about the limit, and what follows from it for a pool.

use std::time::Duration;

/// What is known about the time that an idle connection lives on the path from here to the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// The longest rest that a connection survived; zero while none has.
    pub survived: Duration,
    /// The shortest rest that ended connections, as confirmed; none while there is no such limit.
    pub lost: Option<Duration>,
}

/// Who ends an idle connection first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// The path keeps connections until the server's own `wait_timeout` is over.
    Server,
    /// Something between here and the server is quicker than the server.
    Middlebox,
    /// Nobody, as far as was tried: up to the cap, or up to where the search has come.
    NoneSeen,
}

impl Owner {
    pub const ALL: [Owner; 3] = [Owner::Server, Owner::Middlebox, Owner::NoneSeen];

    pub fn label(self) -> &'static str {
        match self {
            Owner::Server => "server",
            Owner::Middlebox => "middlebox",
            Owner::NoneSeen => "none_seen",
        }
    }
}

impl Bounds {
    /// Who cuts first, given the server's `@@global.wait_timeout`. While that is not known, who was seen to cut.
    pub fn owner(&self, wait_timeout: Option<Duration>) -> Owner {
        match self.lost {
            Some(lost) if wait_timeout.is_none_or(|wait_timeout| lost < wait_timeout) => Owner::Middlebox,
            _ if wait_timeout.is_some_and(|wait_timeout| self.survived >= wait_timeout) => Owner::Server,
            _ => Owner::NoneSeen,
        }
    }

    /// How long a pool may keep a connection so that idleness never ends one, in whole seconds.
    ///
    /// Of the shorter of what the path was seen to survive and the server's `wait_timeout`, 80 %, and at most that
    /// minimum less 10 s, or less half of it where that is less: below 20 s the ten seconds would leave too little, or
    /// nothing. None while nothing was survived yet, and where less than a second would be left.
    pub fn safe_lifetime(&self, wait_timeout: Duration) -> Option<Duration> {
        let least = self.survived.min(wait_timeout);
        let spare = SPARE.min(least / 2);
        let safe = (least * 4 / 5).min(least - spare).as_secs();
        (safe > 0).then(|| Duration::from_secs(safe))
    }
}

/// For clocks, timers and the way of a last query.
const SPARE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn the_safe_lifetime_is_four_fifths_less_ten_seconds_and_never_nonsense() {
        for (survived, wait_timeout, safe) in [
            (3600.0, 28800, Some(2880)),
            (28800.0, 300, Some(240)),
            (349.0, 28800, Some(279)),
            (50.0, 28800, Some(40)),
            (40.0, 28800, Some(30)),
            (20.0, 28800, Some(10)),
            (11.0, 11, Some(5)),
            (6.65, 28800, Some(3)),
            (2.0, 28800, Some(1)),
            (1.9, 28800, None),
            (0.0, 28800, None),
            (3600.0, 1, None),
        ] {
            let bounds = Bounds { survived: seconds(survived), lost: None };
            let got = bounds.safe_lifetime(Duration::from_secs(wait_timeout)).map(|safe| safe.as_secs());
            assert_eq!(got, safe, "{survived} {wait_timeout}");
        }
    }

    #[test]
    fn the_owner_is_who_cuts_first() {
        let owner = |survived, lost: Option<f64>, wait_timeout: Option<u64>| {
            let bounds = Bounds { survived: seconds(survived), lost: lost.map(seconds) };
            bounds.owner(wait_timeout.map(Duration::from_secs))
        };
        assert_eq!(owner(340.0, Some(350.0), Some(28800)), Owner::Middlebox);
        assert_eq!(owner(340.0, Some(350.0), Some(300)), Owner::Server);
        assert_eq!(owner(11.0, None, Some(11)), Owner::Server);
        assert_eq!(owner(3600.0, None, Some(28800)), Owner::NoneSeen);
        assert_eq!(owner(0.0, None, Some(28800)), Owner::NoneSeen);
        // What is remembered from before a restart of the daemon is shown before the server has said anything.
        assert_eq!(owner(340.0, Some(350.0), None), Owner::Middlebox);
        assert_eq!(owner(3600.0, None, None), Owner::NoneSeen);
    }
}
