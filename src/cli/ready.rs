//! A configuration made ready to be served: the files that it names are read, and all that is wrong with them is told at once.

use std::sync::Arc;

use crate::config::{Loaded, Mistakes};
use crate::http::Guard;
use crate::watch::target::{self, Target};

/// What is watched, and who may ask about it.
pub(super) fn ready(loaded: &Loaded) -> Result<(Vec<Arc<Target>>, Guard), Mistakes> {
    match (target::lower(loaded), Guard::load(loaded.config.web.config_file.as_deref())) {
        (Ok(targets), Ok(guard)) => Ok((targets, guard)),
        (Err(mut mistakes), Err(more)) => {
            mistakes.append(more);
            Err(mistakes)
        }
        (Err(mistakes), Ok(_)) | (Ok(_), Err(mistakes)) => Err(mistakes),
    }
}
