//! Writes the first inputs of each target from a real directory. `tests/fuzz.sh seed` runs it.

use std::fs;
use std::path::Path;

use stockhold::proofs::fuzz;
use stockhold::{
    Adjust, AdjustReason, CartLine, Config, Engine, OpKey, Receive, Replace, Reserve, ReserveCart,
};

fn main() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let put = |target: &str, name: String, bytes: &[u8]| {
        let folder = corpus.join(target);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), bytes).unwrap();
    };
    let scratch = tempfile::tempdir().unwrap();
    let mut payloads: Vec<Vec<u8>> = Vec::new();
    for opening in 0..3_u8 {
        fill_directory(scratch.path(), opening);
        for store in fs::read_dir(scratch.path().join("log")).unwrap() {
            let file = fs::read(store.unwrap().path().join("db")).unwrap();
            let magic = [0xD6, b'S', b'H', 0x9C];
            let first = file.windows(4).position(|bytes| bytes == magic).unwrap_or(0);
            let excerpt = &file[first..file.len().min(first + 900)];
            put("chunks", format!("seed-scan-{opening}"), &[&[0], excerpt].concat());
            payloads = fuzz::payloads(&file);
        }
        put("records", format!("seed-log-{opening}"), &payloads.concat());
        // A run of each kind, at the usual frontier.
        let mut runs = vec![1, 0];
        for run in fs::read_dir(scratch.path().join("checkpoint")).unwrap() {
            let run = run.unwrap();
            let name = run.file_name().into_string().unwrap();
            let Some((kind, entries)) = fuzz::entries(&name, &fs::read(run.path()).unwrap()) else {
                continue;
            };
            runs.extend([&[kind][..], &(entries.len() as u16).to_le_bytes(), &entries].concat());
        }
        put("checkpoint", format!("seed-runs-{opening}"), &runs);
        let durable = fs::read(scratch.path().join("durable")).unwrap();
        let (one, two) = (&durable[..44], &durable[4_096..4_140]);
        put("sidecar", format!("seed-durable-{opening}"), &[&[1], one, &[1], two, &[0, 0]].concat());
    }
    for opening in 0..4_u8 {
        // A log of consecutive chunks, in groups of two.
        let mut log = vec![4, opening * 3, 1, 0, 255, 0, 255];
        (0..8).for_each(|number| {
            log.extend([number + 31 * u8::from(number == 0), 5 + number % 2 * 16, number % 3, 0])
        });
        put("chunks", format!("seed-log-{opening}"), &log);
    }
    for what in 0..8_u8 {
        let edits: Vec<u8> = (0..3).flat_map(|file| [what, file * 3, 77, file, 0, 9, 0, 1]).collect();
        put("directory", format!("seed-edit-{what}"), &edits);
    }
    put("directory", "seed-whole".into(), &[]);
    for place in [0, 15_u8] {
        let steps = (0..60_u8).flat_map(|step| [step * 7, step * 11, step * 37, step * 53, step * 91]);
        let first = [0, 0, 0, 200, 0, 0, 0, 1, 200, 0, 0, 0, 2, 200, 0];
        put(
            "operations",
            format!("seed-steps-{place}"),
            &[place].into_iter().chain(first).chain(steps).collect::<Vec<u8>>(),
        );
    }
}

fn fill_directory(directory: &Path, opening: u8) {
    let engine = Engine::open(directory, Config::default()).unwrap();
    let keys = ["poster", "mug", "shirt"].map(|sku| engine.declare(sku, "berlin").unwrap());
    for key in keys {
        engine.receive(Receive::units(key, 90)).unwrap().wait().unwrap();
    }
    engine.adjust(Adjust::by(keys[0], -3, AdjustReason::Damaged)).unwrap().wait().unwrap();
    engine.open_sale_at(keys[2], engine.now()).unwrap().wait().unwrap();
    for step in 0..6_u8 {
        let op_key = OpKey(u128::from(opening) << 8 | u128::from(step));
        let lines = [CartLine::units(keys[0], 1), CartLine::units(keys[1], 2)];
        let one =
            engine.reserve(Reserve::units(keys[usize::from(step) % 3], 2).reference("order").op_key(op_key));
        let one = one.unwrap().wait().unwrap().hold;
        let cart = engine.reserve_cart(ReserveCart::lines(&lines)).unwrap().wait().unwrap().hold;
        match step {
            0 => drop(engine.release(one).unwrap().wait()),
            1 => drop(engine.begin_payment(one).unwrap().wait()),
            2 => drop(engine.replace(Replace::quantity(one, 5)).unwrap().wait()),
            3 => {
                engine.stop_sale(keys[1]).unwrap().wait().unwrap();
                engine.resume_sale(keys[1]).unwrap().wait().unwrap();
            }
            _ => {}
        }
        if step % 2 == 1 {
            engine.confirm(cart).unwrap().wait().unwrap();
            engine.ship(cart).unwrap().wait().unwrap();
        } else {
            engine.confirm(one).map(|receipt| drop(receipt.wait())).unwrap_or_default();
            engine.cancel(one).map(|receipt| drop(receipt.wait())).unwrap_or_default();
        }
        if step == 3 {
            engine.checkpoint().unwrap();
        }
    }
}
