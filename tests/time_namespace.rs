//! A restart in another time namespace, with the machine's own clock: `unshare` of util-linux makes the namespace.

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use stockhold::{Config, Engine, HoldState, OpKey, Receive, Reserve, Timestamp};

/// Names the directory to the process in the namespace.
const DIRECTORY: &str = "STOCKHOLD_TEST_TIME_NAMESPACE";

/// Opens the directory, and finds the one hold live and engine time at the wall.
fn visit(directory: &Path, number: u128) {
    let engine = Engine::open(directory, Config::default()).unwrap();
    let ahead_ms = engine.metrics().clock_ahead_ms;
    assert!(ahead_ms.abs() < 60_000, "engine time is {ahead_ms} ms ahead of the wall");
    let [hold] = &engine.holds_of("ann")[..] else { panic!("one hold") };
    assert_eq!(hold.state, HoldState::Active);
    let wall = Timestamp::try_from(SystemTime::now()).unwrap();
    let key = OpKey(u128::from(wall.0) << 80 | 7 << 76 | 0b10 << 62 | number);
    let seat = engine.key("seat", "hall").unwrap();
    engine.reserve(Reserve::units(seat, 1).op_key(key)).unwrap().wait().unwrap();
    engine.shutdown().unwrap();
}

/// In a namespace without an offset, then in one two days ahead, and back.
#[test]
fn engine_time_stays_with_the_wall_in_another_time_namespace() {
    if let Some(directory) = env::var_os(DIRECTORY) {
        return visit(Path::new(&directory), 1);
    }
    let in_namespace = |program: &Path| {
        let mut command = Command::new("unshare");
        command.args(["-T", "--boottime", "172800"]).arg(program);
        command
    };
    let tried = in_namespace(Path::new("true")).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !tried.is_ok_and(|status| status.success()) {
        println!("skipped: this machine or this user cannot make a time namespace (unshare -T)");
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path().join("stock");
    let engine = Engine::open(&directory, Config::default()).unwrap();
    let seat = engine.declare("seat", "hall").unwrap();
    engine.receive(Receive::units(seat, 10)).unwrap().wait().unwrap();
    let request = Reserve::units(seat, 1).ttl(Duration::from_secs(600)).reference("ann");
    engine.reserve(request).unwrap().wait().unwrap();
    engine.shutdown().unwrap();
    drop(engine);
    for number in [2, 3] {
        let test = "engine_time_stays_with_the_wall_in_another_time_namespace";
        let mut child = in_namespace(&env::current_exe().unwrap());
        let child = child.args(["--exact", test]).env(DIRECTORY, &directory).output().unwrap();
        assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
        visit(&directory, number);
    }
}
