//! What the fold does while checkpoints fail.

use std::thread;

use super::*;
use crate::checkpoint::files::DirFiles;
use crate::log::directory::Directory;
use crate::log::group::Payload;

const WINDOW_BYTES: usize = 64 << 10;

/// A checkpointer whose first checkpoint has failed.
fn failed() -> Checkpointer {
    let directory = Directory::nowhere(Identity::random());
    let files = Arc::new(DirFiles::at("/nowhere".into()));
    let (manifest_set, _) = ManifestSet::open(files, directory.identity.id).unwrap();
    let config = Config::default().checkpoint_bytes(WINDOW_BYTES);
    let (identity, place) = (directory.identity, directory.place().unwrap());
    let checkpointer = Checkpointer::new(&config, identity, place, &manifest_set, Window::default());
    checkpointer.take_in(&group());
    let Some(Work::Window(window)) = checkpointer.due_work(false) else { panic!("nothing is due") };
    checkpointer.put_back(window, &RunError::io("ops-1", "creating it")(io::ErrorKind::Other.into()));
    checkpointer
}

fn group() -> Group {
    let payload = Payload { bytes: vec![0; WINDOW_BYTES], ..Payload::default() };
    Group { chunks: vec![payload], end: 0, tip: Default::default() }
}

#[test]
fn after_a_failure_a_full_window_is_dropped_and_the_log_read_once_more() {
    let checkpointer = failed();
    (0..=WINDOWS_MAX).for_each(|_| checkpointer.take_in(&group()));
    assert!(checkpointer.intake.lock().is_behind);
    let Some(Work::CatchUp(_)) = checkpointer.due_work(false) else { panic!("a window with a gap") };
    // The fold does not wait for the reading.
    (0..=WINDOWS_MAX).for_each(|_| checkpointer.take_in(&group()));
    checkpointer.fall_behind(&RunError::Stopped);
    assert!(matches!(checkpointer.due_work(false), Some(Work::CatchUp(_))));
}

#[test]
fn the_fold_waits_for_a_checkpoint_that_is_being_retried() {
    let checkpointer = failed();
    assert!(checkpointer.due_work(false).is_some());
    thread::scope(|scope| {
        let fold = scope.spawn(|| (0..=WINDOWS_MAX).for_each(|_| checkpointer.take_in(&group())));
        while checkpointer.intake.lock().window.bytes.len() < WINDOWS_MAX * WINDOW_BYTES {
            assert!(!checkpointer.intake.lock().is_behind);
            thread::yield_now();
        }
        let mut made = checkpointer.intake.lock();
        (made.failure, made.under_way, made.window) = (None, false, Window::default());
        checkpointer.changed.notify_all();
        drop(made);
        fold.join().unwrap();
    });
    assert!(!checkpointer.intake.lock().is_behind);
}
