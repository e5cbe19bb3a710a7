//! In which form a command reports.

use clap::ValueEnum;

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(super) enum Output {
    #[default]
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(super) enum CatalogueOutput {
    #[default]
    Text,
    Json,
    Markdown,
}
