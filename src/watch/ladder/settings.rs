//! How the ladder goes about it. The defaults are meant for the world; tests make everything shorter.

use std::time::Duration;

/// Ages, steps and patience of the ladder.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Ages to try first, rising: just below the limits that middleboxes are known to have. Beyond the last one each
    /// is twice the one before.
    pub ages: Vec<Duration>,
    /// No connection rests longer than this, whatever the server allows.
    pub cap: Duration,
    /// The bounds are near enough when they are this close to each other...
    pub precision: Duration,
    /// ...or this share of the upper one.
    pub precision_ratio: f64,
    /// Between two openings. Connections that end at the same age then end at different times; those that end at the
    /// same time, within half of this, were ended by an event.
    pub stagger: Duration,
    /// How long after a ping that was not answered the control must still be well: a server that stood still answers
    /// both when it goes on.
    pub settle: Duration,
    /// How long a death may wait for a word from the control before it is worth nothing.
    pub control_patience: Duration,
    /// After an opening that was refused; twice as long after each further one, up to ten times.
    pub retry: Duration,
    /// Between two looks at a limit that is known.
    pub recheck_every: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            ages: [50, 110, 225, 290, 340, 360, 590, 890, 1790, 3590].map(Duration::from_secs).to_vec(),
            cap: Duration::from_secs(3600),
            precision: Duration::from_secs(10),
            precision_ratio: 0.05,
            stagger: Duration::from_secs(12),
            settle: Duration::from_secs(1),
            control_patience: Duration::from_secs(120),
            retry: Duration::from_secs(60),
            recheck_every: Duration::from_secs(6 * 3600),
        }
    }
}

impl Settings {
    /// How close the bounds of a limit of about this age must come; ages closer than that are the same.
    pub fn resolution(&self, age: Duration) -> Duration {
        self.precision.max(age.mul_f64(self.precision_ratio))
    }

    /// Deaths within this time of each other have one event as their cause.
    pub(super) fn together(&self) -> Duration {
        self.stagger / 2
    }

    /// What a connection that was ended at this age, before our eyes, lets us say of shorter rests.
    pub(super) fn margin(&self, age: Duration) -> Duration {
        age.mul_f64(self.precision_ratio).min(Duration::from_secs(1))
    }
}
