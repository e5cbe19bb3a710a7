//! What is known of the way to the server: its addresses, and what lies between. Whatever changes is told.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::events::What;
use super::probe::{Found, Known};
use super::seat::Seat;
use crate::mysql::path::Path;

#[derive(Debug, Default)]
pub(super) struct Way {
    addresses: Option<BTreeSet<IpAddr>>,
    path: Known,
    /// The path that was told last: after an outage it is asked for anew, and until then it is what it was.
    told: Option<Path>,
}

impl Way {
    /// What the next probe need not ask.
    pub(super) fn known(&self) -> Known {
        self.path
    }

    pub(super) fn told(&self) -> Option<Path> {
        self.told
    }

    /// What lies between may have changed; asked again at the next probe.
    pub(super) fn forget(&mut self) {
        self.path = Known::NotAsked;
    }

    /// What the target's name resolves to.
    pub(super) fn resolved(&mut self, addresses: BTreeSet<IpAddr>, seat: &Seat) {
        let v4 = addresses.iter().filter(|address| address.is_ipv4()).count();
        for (family, count) in [("ipv4", v4), ("ipv6", addresses.len() - v4)] {
            seat.instruments.dns_addresses.with_label_values(&[family]).set(count as f64);
        }
        let before = self.addresses.replace(addresses.clone());
        if let Some(before) = before.filter(|before| *before != addresses) {
            seat.instruments.dns_changes.inc();
            let shown = |addresses: BTreeSet<IpAddr>| addresses.iter().map(IpAddr::to_string).collect();
            seat.tell(What::Addresses { before: shown(before), after: shown(addresses) });
        }
    }

    /// What the server says of the path.
    pub(super) fn found(&mut self, found: Found, seat: &Seat) {
        self.path = found.path;
        if let Known::Is(path) = found.path
            && self.told.replace(path) != Some(path)
        {
            let seen_as =
                found.seen_as.map(|seen| seen.rsplit_once(':').map_or(seen.clone(), |(host, _)| host.to_owned()));
            seat.tell(What::Path { path: path.label(), seen_as });
        }
    }
}
