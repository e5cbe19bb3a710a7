//! How much room is left below the server's connection limit.

use crate::collect::account_limits::{HEADROOM_RATIO, LIMIT_CONNECTIONS, USED_CONNECTIONS};
use crate::metrics::{Block, BlockBuilder};

crate::metrics! {
    /// `Max_used_connections` (since the server started, or FLUSH STATUS) as a share of `max_connections`; the administrators' extra connection counts as full.
    PEAK_RATIO: gauge "mysql_conn_peak_ratio" {};
}

/// What the server said of its connections in one round.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Headroom {
    pub(super) limit: Option<f64>,
    pub(super) used: Option<f64>,
    pub(super) peak: Option<f64>,
}

impl Headroom {
    /// Connections in use and the limit, where both are known.
    pub(super) fn connections(&self) -> Option<(u64, u64)> {
        Some((self.used? as u64, self.limit? as u64))
    }

    pub(super) fn block(&self, label: Option<&str>) -> Block {
        let mut out = BlockBuilder::new(label);
        let server = [("scope", "server"), ("user", "")];
        let mut write = |family: &'static crate::metrics::Family, labels: &[(&str, &str)], value: Option<f64>| {
            if let Some(value) = value {
                let id = out.family(family.name, family.kind, family.help());
                out.sample(id, labels, value);
            }
        };
        let share = |part: Option<f64>| Some(part? / self.limit.filter(|limit| *limit > 0.0)?);
        write(&LIMIT_CONNECTIONS, &server, self.limit);
        write(&USED_CONNECTIONS, &server, self.used);
        write(&HEADROOM_RATIO, &server, share(self.used).map(|used| (1.0 - used).clamp(0.0, 1.0)));
        write(&PEAK_RATIO, &[], share(self.peak).map(|peak| peak.min(1.0)));
        out.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Format, write};

    fn shown(headroom: Headroom) -> Vec<String> {
        let text = write(&[std::sync::Arc::new(headroom.block(None))], Format::Text);
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    }

    #[test]
    fn a_full_server_has_no_headroom_and_never_less() {
        let full = Headroom { limit: Some(100.0), used: Some(101.0), peak: Some(101.0) };
        assert_eq!(
            shown(full),
            [
                "mysql_conn_headroom_ratio{scope=\"server\",user=\"\"} 0",
                "mysql_conn_limit_connections{scope=\"server\",user=\"\"} 100",
                "mysql_conn_peak_ratio 1",
                "mysql_conn_used_connections{scope=\"server\",user=\"\"} 101",
            ]
        );
    }

    #[test]
    fn what_the_server_did_not_say_is_left_out() {
        assert_eq!(shown(Headroom::default()), Vec::<String>::new());
        assert_eq!(shown(Headroom { limit: Some(0.0), used: Some(1.0), peak: None }).len(), 2);
    }
}
