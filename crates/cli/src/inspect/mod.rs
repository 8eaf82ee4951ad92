//! Commands on a directory that no engine has open: `verify`, `levels`, `holds` and `log` change no byte of
//! it, `backup`, `salvage` and `clock` write a new one, and `checkpoint` opens it as a program does.
//!
//! The flags that they share, and how they print, are in [`directory`].

pub(crate) mod backup;
pub(crate) mod checkpoint;
pub(crate) mod clock;
mod directory;
pub(crate) mod holds;
pub(crate) mod levels;
pub(crate) mod log;
pub(crate) mod salvage;
mod table;
mod text;
pub(crate) mod verify;
