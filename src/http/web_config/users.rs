//! `basic_auth_users`: who may ask, by name and bcrypt hash.

use std::collections::BTreeMap;
use std::str::FromStr;

use bcrypt::HashParts;

use super::document::Document;
use crate::config::Mistakes;
use crate::config::secret::Secret;

const GROUP: &str = "basic_auth_users";

/// A cost of 10 takes some 70 ms, and each more doubles that: beyond this nobody waits for the answer.
const MOST_COST: u32 = 18;
const LEAST_COST: u32 = 4;

/// A hash of nothing that anybody knows, but for its cost.
const NOBODY: &str = "QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi";

/// Those who may ask.
#[derive(Debug)]
pub(crate) struct Users {
    hashes: BTreeMap<String, Secret>,
    nobody: Secret,
}

impl Users {
    /// The hash to compare with, and whether there is such a user. A name that there is not costs the same time.
    pub(crate) fn hash_of(&self, name: &str) -> (&Secret, bool) {
        self.hashes.get(name).map_or((&self.nobody, false), |hash| (hash, true))
    }
}

/// None when nobody is named.
pub(crate) fn read(document: &Document, mistakes: &mut Mistakes) -> Option<Users> {
    let mut hashes = BTreeMap::new();
    let mut highest = LEAST_COST;
    for said in document.below(GROUP) {
        let path = format!("{GROUP}.{}", said.name());
        let Some((place, text)) = said.one() else { continue };
        if said.name().contains(':') {
            mistakes.at(&said.key, &path, "a name with `:` cannot be sent by a client; choose another");
        }
        match HashParts::from_str(text).map(|parts| parts.get_cost()) {
            Err(_) => mistakes.at(place, &path, "is not a bcrypt hash; make one by `htpasswd -nBC 10 NAME`"),
            Ok(cost) if !(LEAST_COST..=MOST_COST).contains(&cost) => {
                let says = format!(
                    "has the cost {cost}; a check would take longer than a client waits; write one of a cost from \
                     {LEAST_COST} to {MOST_COST}"
                );
                mistakes.at(place, &path, says);
            }
            Ok(cost) => {
                highest = highest.max(cost);
                hashes.insert(said.name().to_owned(), Secret::new(text));
            }
        }
    }
    // As slow as the slowest of them.
    let nobody = Secret::new(format!("$2y${highest:02}${NOBODY}"));
    (!hashes.is_empty()).then_some(Users { hashes, nobody })
}
