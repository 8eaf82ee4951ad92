//! Cuts the power of recorded runs and judges the disks that may be left.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Instant, SystemTime};

use stockhold::Timestamp;

use crate::base::Base;
use crate::cut::Cut;
use crate::cuts::Cuts;
use crate::image::Image;
use crate::judge::{Judgement, LONG_AGO, judge};
use crate::loss::{DISKS, DiskKind, image_after};
use crate::options::Options;
use crate::recording::{Recording, SHOP};
use crate::witness::Witness;
use stockhold_seeded::Rng;

pub(crate) const USAGE: &str = "\
Records the system calls of a load, cuts the power after some of them, and judges what a disk may have kept.

usage: stockhold-crash power-cuts [--images N] [--load PROGRAM] [--seed N] [--threads N] [--disk KIND]
                                  [--failures N] [--into D]
       stockhold-crash power-cuts --recording D --seed N --image N --disk KIND --into D

  --images N       the number of images to judge (default 1000)
  --seed N         the seed of all choices (default STOCKHOLD_SEED, else the time)
  --load PROGRAM   the program whose load is recorded (default this program)
  --threads N      the number of judging threads (default 2)
  --disk KIND      protected, volatile or ordered (default all three)
  --failures N     stop after this many failed images (default 3)
  --into D         where recordings of failed images are kept (default target/power-cuts)

The second form makes one image of a kept recording again, leaves it in D, and judges a copy.
The seed repeats the choices, but not the order of threads in the load: another run makes other recordings.
Exit code 1: an acknowledgement was lost, or something else is wrong with an image.";

/// Images made from one recording.
const IMAGES_EACH: u64 = 50;

/// An image to be judged.
struct ImageJob {
    number: u64,
    seed: u64,
    cut: Cut,
    kind: DiskKind,
    image: Image,
    witness: Witness,
    time: Timestamp,
    recording: PathBuf,
}

/// The counts of all images.
#[derive(Default)]
struct ImageTally {
    by_disk: BTreeMap<DiskKind, u64>,
    opening: u64,
    created: u64,
    cut: u64,
    answered: u64,
    unknown: u64,
    unknown_happened: u64,
    failures: u64,
}

/// Judges images; true if nothing was lost.
pub(crate) fn run(options: &Options) -> Result<bool, String> {
    match options.text("--recording") {
        Some(recording) => repeat_image(options, Path::new(recording)),
        None => judge_many(options),
    }
}

/// The requested kind of disk.
fn disk(options: &Options) -> Result<Option<DiskKind>, String> {
    let Some(name) = options.text("--disk") else { return Ok(None) };
    let disk = DISKS.into_iter().find(|disk| disk.name() == name);
    disk.map(Some).ok_or_else(|| format!("there is no disk {name:?}"))
}

/// Makes the choices for one image of a recording.
fn choose(
    (seed, number): (u64, u64),
    cuts: &Cuts,
    disk: Option<DiskKind>,
) -> Result<(Cut, DiskKind, Timestamp, Rng), String> {
    let mut rng = Rng::stream(seed, number + 1);
    let cut = cuts.choose(&mut rng).ok_or("nothing was recorded")?;
    let by_chance = DISKS[rng.index(DISKS.len())];
    let kind = disk.unwrap_or(by_chance);
    let now = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_millis() as u64);
    let time = if rng.percent(70) { LONG_AGO } else { Timestamp(now) };
    Ok((cut, kind, time, rng))
}

fn judge_many(options: &Options) -> Result<bool, String> {
    let (images, seed) = (options.number("--images", 1_000)?, options.seed()?);
    let load = options.program()?;
    let failures_max = options.number("--failures", 3)?;
    let into = PathBuf::from(options.text("--into").unwrap_or("target/power-cuts"));
    let disk = disk(options)?;
    println!("{images} images, seed {seed}");
    let begin = Instant::now();
    let tally = Mutex::new(ImageTally::default());
    let scratch = scratch()?;
    let (send, receive) = sync_channel::<ImageJob>(4);
    let receive = Mutex::new(receive);
    thread::scope(|scope| {
        for _ in 0..options.number("--threads", 2)?.max(1) {
            let (receive, tally, into) = (&receive, &tally, &into);
            let scratch = scratch.path();
            scope.spawn(move || work(receive, tally, scratch, into));
        }
        // Dropped at the end of the scope, which ends the judges.
        let send = send;
        let enough = || lock(&tally).failures >= failures_max;
        let mut base = Base::default();
        for (round, first) in (0..images).step_by(IMAGES_EACH as usize).enumerate() {
            if enough() {
                break;
            }
            let place = scratch.path().join(format!("recording-{round}"));
            fs::create_dir(&place).map_err(|error| error.to_string())?;
            let seed = Rng::stream(seed, round as u64).next() >> 32;
            let recording = Recording::make(&load, seed, base, &place).map_err(|error| {
                let kept = into.join(format!("recording-{seed}"));
                let _ = copy(&place, &kept);
                format!("recording with seed {seed}, kept in {}: {error}", kept.display())
            })?;
            // The load's own directory is not needed any more.
            let _ = fs::remove_dir_all(place.join("disk"));
            let count = IMAGES_EACH.min(images - first);
            let left = make(&recording, (seed, count), disk, &place, &send, &enough)?;
            // Every other recording begins with the disk that a cut of the one before has left.
            base = if round % 2 == 0 { left } else { Base::default() };
        }
        Ok::<_, String>(())
    })?;
    let tally = lock(&tally);
    println!("\n{tally} in {:.1} s", begin.elapsed().as_secs_f64());
    Ok(tally.failures == 0)
}

/// Makes a recording's images, in the order of their cuts. Returns one of them.
fn make(
    recording: &Recording,
    (seed, count): (u64, u64),
    disk: Option<DiskKind>,
    place: &Path,
    send: &SyncSender<ImageJob>,
    enough: &impl Fn() -> bool,
) -> Result<Base, String> {
    let cuts = Cuts::of(recording);
    let mut chosen = (0..count)
        .map(|number| choose((seed, number), &cuts, disk).map(|it| (number, it)))
        .collect::<Result<Vec<_>, _>>()?;
    chosen.sort_by_key(|(_, (cut, ..))| *cut);
    let (returned, mut base) = (Rng::stream(seed, 0).below(count), Base::default());
    let (mut machine, mut at) = (recording.machine(), Cut { run: 0, events: 0 });
    for (number, (cut, kind, time, mut rng)) in chosen {
        if enough() {
            break;
        }
        recording.advance(&mut machine, at, cut)?;
        at = cut;
        let image = image_after(&machine.disk, kind, &mut rng);
        let (witness, recording) = (machine.witness.clone(), place.to_owned());
        if number == returned {
            base = Base { image: image.clone(), witness: witness.clone() };
        }
        let job = ImageJob { number, seed, cut, kind, image, witness, time, recording };
        send.send(job).map_err(|_| "the judges are gone")?;
    }
    Ok(base)
}

fn work(jobs: &Mutex<Receiver<ImageJob>>, tally: &Mutex<ImageTally>, scratch: &Path, into: &Path) {
    loop {
        let job = lock(jobs).recv();
        let Ok(mut job) = job else { return };
        let (opening, answered) = (job.witness.is_opening, job.witness.answered() as u64);
        let judged = judge_image(&mut job, scratch);
        let mut tally = lock(tally);
        *tally.by_disk.entry(job.kind).or_default() += 1;
        tally.opening += u64::from(opening);
        tally.created += u64::from(judged.report == "a new directory");
        tally.cut += u64::from(judged.report.contains("torn"));
        tally.answered += answered;
        tally.unknown += judged.unknown as u64;
        tally.unknown_happened += judged.unknown_happened as u64;
        if !judged.complaints.is_empty() {
            tally.failures += 1;
            report(&job, &judged, into);
        }
    }
}

fn judge_image(job: &mut ImageJob, scratch: &Path) -> Judgement {
    let failed = |error: String| Judgement { complaints: vec![error], ..Judgement::default() };
    let place = match tempfile::tempdir_in(scratch) {
        Ok(place) => place,
        Err(error) => return failed(error.to_string()),
    };
    if let Err(error) = job.image.make(place.path()) {
        return failed(format!("the image cannot be made: {error}"));
    }
    let (shop, witness, time) = (place.path().join(SHOP), &mut job.witness, job.time);
    let judged = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| judge(&shop, witness, time)));
    judged.unwrap_or_else(|_| failed("a panic".into()))
}

fn report(job: &ImageJob, judged: &Judgement, into: &Path) {
    let ImageJob { number, seed, cut, kind, .. } = job;
    let kept = into.join(format!("recording-{seed}"));
    let kept_well = copy(&job.recording, &kept);
    println!(
        "\nseed {seed}, image {number}: a {} disk, cut after event {} of process {}, {}",
        kind.name(),
        cut.events,
        cut.run,
        judged.report
    );
    for complaint in &judged.complaints {
        println!("  {}", complaint.chars().take(600).collect::<String>());
    }
    match kept_well {
        Ok(()) => println!(
            "to repeat: stockhold-crash power-cuts --recording {} --seed {seed} --image {number} --disk {} \
             --into {}",
            kept.display(),
            kind.name(),
            into.join(format!("image-{seed}-{number}")).display()
        ),
        Err(error) => println!("the recording cannot be kept: {error}"),
    }
}

/// Copies a recording.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    if to.exists() {
        return Ok(()); // already copied for another image
    }
    fs::create_dir_all(to)?;
    let copied = Command::new("cp").arg("-r").arg(from.join(".")).arg(to).status()?;
    if copied.success() { Ok(()) } else { Err(std::io::Error::other("cp failed")) }
}

/// Makes and judges one image of a kept recording again.
fn repeat_image(options: &Options, kept: &Path) -> Result<bool, String> {
    let (seed, number) = (options.seed()?, options.number("--image", 0)?);
    let into = PathBuf::from(options.needed("--into")?);
    let recording = Recording::read(kept)?;
    let (cut, kind, time, mut rng) = choose((seed, number), &Cuts::of(&recording), disk(options)?)?;
    let mut machine = recording.machine();
    recording.advance(&mut machine, Cut { run: 0, events: 0 }, cut)?;
    let image = image_after(&machine.disk, kind, &mut rng);
    fs::create_dir_all(&into)
        .and_then(|()| image.make(&into))
        .map_err(|error| format!("{}: {error}", into.display()))?;
    println!(
        "a {} disk, cut after event {} of process {}: {}",
        kind.name(),
        cut.events,
        cut.run,
        into.display()
    );
    let last = &recording.runs[cut.run];
    for event in &last.events[cut.events.saturating_sub(8)..cut.events] {
        println!("  {}", last.describe(*event));
    }
    let scratch = scratch()?;
    let witness = machine.witness.clone();
    let mut job = ImageJob { number, seed, cut, kind, image, witness, time, recording: kept.to_owned() };
    let judged = judge_image(&mut job, scratch.path());
    println!("{}", judged.report);
    for complaint in &judged.complaints {
        println!("  {complaint}");
    }
    Ok(judged.complaints.is_empty())
}

/// Makes a scratch directory, in memory if there is one: the images are not needed after this process.
fn scratch() -> Result<tempfile::TempDir, String> {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.or_else(|_| tempfile::tempdir()).map_err(|error| error.to_string())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl std::fmt::Display for ImageTally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let images: u64 = self.by_disk.values().sum();
        write!(f, "{images} images (")?;
        for (index, (disk, count)) in self.by_disk.iter().enumerate() {
            write!(f, "{}{count} {}", if index == 0 { "" } else { ", " }, disk.name())?;
        }
        write!(
            f,
            "; {} cut while opening, {} without a directory yet, {} with a torn tail); \
             {} acknowledgements checked, {} operations of unknown outcome, of which {} had happened; {} images \
             failed",
            self.opening,
            self.created,
            self.cut,
            self.answered,
            self.unknown,
            self.unknown_happened,
            self.failures
        )
    }
}
