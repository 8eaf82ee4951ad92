//! The fold: the only definition of what a record means.
//!
//! [`state`] applies records one by one; recovery runs it over the log, [`follower`] runs the part of it that
//! answers for levels and references while sales go on, and [`verify`] runs it over a log at rest and judges it.

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
