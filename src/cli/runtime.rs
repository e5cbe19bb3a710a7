//! What a one-shot command waits in.

use super::exit::{Exit, complain};

/// Runs a command's work to its end. A name that is still being resolved then, in a thread that cannot be stopped, does
/// not hold the process.
pub(super) fn run<T>(work: impl Future<Output = T>) -> Result<T, Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| complain(&format!("error: cannot start the runtime\n  cause: {error}")))?;
    let done = runtime.block_on(work);
    runtime.shutdown_background();
    Ok(done)
}
