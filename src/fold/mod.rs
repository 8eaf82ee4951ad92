//! The fold: the only code that turns records into state.
//!
//! [`state`] applies facts one by one. Recovery runs it over the log; [`follower`] runs the part of it that answers for
//! levels and references while sales go on; [`verify`] runs it over a log at rest and checks every step.

pub(crate) mod answers;
pub(crate) mod follower;
pub(crate) mod hold;
pub(crate) mod holds;
pub(crate) mod level;
pub(crate) mod levels;
mod packed;
pub(crate) mod pages;
pub(crate) mod references;
pub(crate) mod state;
pub(crate) mod verify;
