//! Ctrl-C: the first ends the sale early, the second ends the program.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::exit::CommandError;

/// Exit code after a second Ctrl-C: 128 + SIGINT, as shells report it.
const CODE_AT_ONCE: i32 = 130;

static STOP: AtomicBool = AtomicBool::new(false);

/// Installs the handler.
pub(super) fn install() -> Result<(), CommandError> {
    ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::Relaxed) {
            std::process::exit(CODE_AT_ONCE);
        }
        eprintln!("\nstopping; what was decided is being verified (press Ctrl-C again to end at once)");
    })
    .map_err(|error| CommandError::Environment(format!("no handler for Ctrl-C can be installed: {error}")))
}

/// The flag that the first Ctrl-C sets. Relaxed: it carries no data.
pub(super) fn flag() -> &'static AtomicBool {
    &STOP
}

pub(super) fn is_requested() -> bool {
    STOP.load(Ordering::Relaxed)
}
