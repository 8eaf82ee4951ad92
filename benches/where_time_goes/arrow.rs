//! The steps of the data flow, and which source file belongs to which.

/// The name of a step on the page.
pub type Arrow = &'static str;

/// The benchmark's own loop.
pub const CALLER: Arrow = "the caller's loop";
/// Code that no line of ours called.
pub const ELSEWHERE: Arrow = "elsewhere";

/// The rows of the page: of a decision, then of the threads behind it.
pub const OF_A_DECISION: [Arrow; 12] = [
    CALLER,
    "limits and order of steps",
    "clock",
    "op key",
    "stock counter",
    "hold table",
    "deadline",
    "record",
    "ring",
    "bell",
    "receipt, hold id",
    "counts",
];
pub const OF_A_RECORD: [Arrow; 8] = [
    "ring",
    "group, hand-over",
    "chunk: checksum, hash",
    "store (sled)",
    "acknowledgement",
    "record",
    "fold",
    "checkpoint",
];

/// Path prefixes under the repository's root; the first match counts. Code in other files counts for its
/// caller.
const FILES: [(&str, Arrow); 30] = [
    ("benches/", CALLER),
    ("src/engine/content.rs", "op key"),
    ("src/engine/facade/", "receipt, hold id"),
    ("src/engine/expire.rs", "deadline"),
    ("src/engine/", "limits and order of steps"),
    ("src/receipt.rs", "receipt, hold id"),
    ("src/answer.rs", "receipt, hold id"),
    ("src/fold/answers.rs", "receipt, hold id"),
    ("src/hold/id.rs", "receipt, hold id"),
    ("src/clock/", "clock"),
    ("src/hold/op_keys.rs", "op key"),
    ("src/stock/", "stock counter"),
    ("src/hold/", "hold table"),
    ("src/expiry/", "deadline"),
    ("src/log/record", "record"),
    ("src/log/lines.rs", "record"),
    ("src/log/words.rs", "ring"),
    ("src/log/ring.rs", "ring"),
    ("src/log/chunk.rs", "chunk: checksum, hash"),
    ("src/log/sled.rs", "store (sled)"),
    ("src/log/store", "store (sled)"),
    ("src/log/sidecar.rs", "acknowledgement"),
    ("src/log/watch.rs", "acknowledgement"),
    ("src/log/writer.rs", "group, hand-over"),
    ("src/log/group.rs", "group, hand-over"),
    ("src/log/shared.rs", "group, hand-over"),
    ("src/log/bell.rs", "group, hand-over"),
    ("src/metrics.rs", "counts"),
    ("src/fold/", "fold"),
    ("src/checkpoint/", "checkpoint"),
];

/// The step of a file of ours, if it has one. `decides` is true for a caller's thread.
pub fn of(path: &str, decides: bool) -> Option<Arrow> {
    let (_, arrow) = FILES.iter().find(|(prefix, _)| path.starts_with(prefix))?;
    Some(if decides && *arrow == "group, hand-over" { "bell" } else { *arrow })
}
