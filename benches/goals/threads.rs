//! The processor time of each thread of the process.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Mutex;

/// The times of threads that have ended.
static GONE: Mutex<Vec<(String, f64)>> = Mutex::new(Vec::new());

/// Nanoseconds of processor time, by thread name.
pub struct Threads(BTreeMap<String, f64>);

impl Threads {
    pub fn now() -> Threads {
        let mut threads = BTreeMap::new();
        let living = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        let all = living.filter_map(|task| one(&task.path())).chain(GONE.lock().unwrap().clone());
        all.for_each(|(name, ns)| *threads.entry(name).or_insert(0.0) += ns);
        Threads(threads)
    }

    /// The time since `before`, divided by `count`.
    pub fn since(mut self, before: &Threads, count: u64) -> Threads {
        for (name, ns) in &mut self.0 {
            *ns = (*ns - before.0.get(name).unwrap_or(&0.0)) / count as f64;
        }
        self
    }
}

impl fmt::Display for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, ns) in self.0.iter().filter(|(_, ns)| **ns >= 1.0) {
            write!(f, "{name} {ns:.0}, ")?;
        }
        write!(f, "in all {:.0}", self.0.values().sum::<f64>())
    }
}

/// Adds the time of the calling thread, which is about to end.
pub fn add_this() {
    GONE.lock().unwrap().extend(one(Path::new("/proc/thread-self")));
}

fn one(task: &Path) -> Option<(String, f64)> {
    let text = |file: &str| fs::read_to_string(task.join(file)).ok();
    let ns = text("schedstat")?.split_whitespace().next()?.parse().ok()?;
    let name = text("comm")?;
    let name = name.trim().trim_start_matches("stockhold-");
    // sled has several threads.
    Some((if name.starts_with("sled") { "sled" } else { name }.to_string(), ns))
}
