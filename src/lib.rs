//! stockhold decides, exactly and at memory speed, who gets the last unit.

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
compile_error!("stockhold runs on 64-bit Linux only: its durability rests on how Linux syncs files.");

#[cfg_attr(not(test), expect(dead_code, reason = "the engine that drives the wheel is not written yet"))]
mod expiry;
#[expect(dead_code, reason = "the engine that calls it is not built yet")]
mod log;
