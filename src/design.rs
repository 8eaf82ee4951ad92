//! How the house is built, and why: terms, protocols, orderings, what a crash can leave. No code.
//!
//! Beside it: [what each step costs](where_time_goes), [how costs grow](growth), and [what to choose](tuning) for which
//! machine and sale.
//!
//! # Terms
//!
//! | term | meaning |
//! |---|---|
//! | stock key | (SKU, location) |
//! | `on_hand` | physically present, sold-but-unshipped included; it falls when goods ship |
//! | `held` | sum of live holds: claimed, unpaid |
//! | `committed` | confirmed, not yet shipped |
//! | `available` | `on_hand - committed - held`; below zero it is a *shortfall*, made by a physical correction alone |
//! | cart | several stock keys in one hold: all of its lines or none |
//! | hold | units claimed for a time: reserved, then confirmed, released or expired; one outcome |
//! | op key | the caller's identity of one operation: sent twice, it happens once |
//! | position | a place in the log: everything up to and including one record |
//!
//! # Rooms, in the order of the data flow
//!
//! | folder | what lives there |
//! |---|---|
//! | `engine` | the facade, and the steps of each operation |
//! | `stock` | the counter and the blocks it is split over (the only files with stock atomics), the bits of both (pure), the keys, their names |
//! | `hold` | the state machine (pure), ids, slots and the table of them, lines of carts, op keys |
//! | `expiry` | the wheel (pure), and the timers in front of it |
//! | `clock` | steady clock, steering (pure), the line that all threads read, the file `clock` |
//! | `log` | record, ring, log thread, chunk, stores (sled), sidecar, scan, verdict, recovery |
//! | `fold` | what a record means: levels, holds, whole state, the follower of a running engine, verify |
//! | `checkpoint` | windows of the log as sorted runs, their merging, the manifest, the thread that makes them, the way back |
//!
//! # Counters: one cell, or many
//!
//! A stock key is one atomic word. While it is cold or scarce, the word has every unit, and a count of what is *pending*.
//! Contended and plentiful, the word names a *block* of as many padded cells as there are cores, over which the units are
//! spread; each thread takes from its own cell, then from the others.
//!
//! **Gather** (many to one): freeze every cell with a bit, add up, publish the sum by one swap of the key's word. A frozen
//! cell never changes, so whoever helps adds up the same, and nobody waits. **Split** (one to many): load a free block
//! with what the word says and publish it by a swap of that very word. A block is in use under a version, which the word
//! and every cell carry: who wakes up late, when the block belongs to another key, changes nothing.
//!
//! Out-of-stock is only ever decided on one cell, by one load. So a taker whose cells are all too small gathers first,
//! and near the end of the stock a key is one word, on which refusals only read. No unit is stranded in a cell (F3), and
//! nobody takes half of what it wants (F13).
//!
//! When to split: a thread whose take has succeeded, and that has lost 64 races for the key, splits it if each cell gets
//! 64 units or more. When to gather: no cell has what is wanted, or somebody asks for the exact number (who splits again
//! what was split). What has not been used for a second is gathered too, which gives its block back; what was
//! split in advance ([`Engine::prepare`](crate::Engine::prepare)) stays until it was used. None of this is a setting,
//! and none can make an answer wrong. One absurd quantity gathers a key once; it is split again after 64 lost races, some
//! microseconds of contention. A flood of them keeps it on one cell, on which each is refused by a load.
//!
//! What a split gains, and that it costs a lone thread nothing, by
//! `cargo bench -p stockhold-benches --bench counter` on 2 cores of an AMD EPYC,
//! in millions of takes a second (the engine around the counter does more than ten times as much a decision):
//!
//! | threads | a lock | one cell | cells, split in advance | a key that splits itself |
//! |--:|--:|--:|--:|--:|
//! | 1 | 98 | 122 | 122 | 122 |
//! | 2 | 37 | 39 | 240 | 243 |
//!
//! # Keys that nobody buys now
//!
//! There may be many millions of them, so such a key takes some 32 bytes of memory, and 12 and its text for its names:
//!
//! | bytes | |
//! |--:|---|
//! | 12.8 | counter, gate and `on_hand`. Five keys share a line of the cache, keys in a row lie in different ones |
//! | 8 | the fold's level |
//! | 6 to 11 | the catalogue's index, as its tables are full or have just grown |
//!
//! What is beyond them stands beside, and they say where: 16 bytes for a key that has had a moment to open, or a billion
//! units on hand; 48 for a level that has had a moment, or a million units on hand, or 16,384 of another kind. The next
//! opening brings back what fits again. 100 million keys, names included, open in 3.9 GiB
//! (`cargo bench -p stockhold-benches --bench keys`).
//!
//! # Reserve
//!
//! 1. *Limits*: quantity, TTL, reference, key. Nothing was read yet, nothing changes.
//! 2. A look at the counter. Too few: see *Refusing*. So a refusal writes no shared memory but its own count.
//! 3. A slot in the table of holds, phase `Reserving`: its fields are written before anybody can see it. `HoldsFull`
//!    is answered here, before any take.
//! 4. Room in the ring, claimed in words: `Busy` here, before any take.
//! 5. The deadline is registered with the shard's timers.
//! 6. The take: one compare-and-swap. Nothing that can fail comes after it.
//! 7. The log position is drawn, the hold becomes `Active`, the record is filled.
//!
//! # Refusing
//!
//! Out-of-stock is decided by one load of one word, which says `available` and whether anything is *pending*: whoever
//! will give units back is counted there before the hold that owns them dies, and uncounted in the swap that returns
//! them. Fewer than asked and nothing pending is a true refusal; something pending is a short spin, then `Busy`.
//!
//! A key that is split is gathered before it is refused.
//!
//! Before that, what is due is reclaimed. Each shard of holds has one word that says the earliest deadline it may have,
//! how often its wheel was turned, and whether it is being turned. The refuser reads all of them, then the counter, then
//! all of them again, then the clock; equal both times and nothing due at that time, the counter held every unit that was
//! not in a live hold at the instant of its load. (The clock last: a refuser that sleeps in between must not take a hold
//! for live that has expired meanwhile.) If something is due, the refuser expires a batch itself. So the engine is exact without the
//! driver thread, which only keeps the horizon fresh and lets an idle engine expire.
//!
//! # Transitions
//!
//! Confirm, release, expire, extend, begin payment, cancel, ship: load the hold's word, draw a log position, compare and
//! swap, then fill the position, or void it if the swap failed. One word, one winner; and the log has one hold's records
//! in the order in which they happened. State, generation and deadline share the word; once confirmed a hold has no
//! deadline, and its bits carry the units still committed, so cancel and ship are one swap too.
//!
//! **The order rule.** Take: counter first, then log. Give back: position first, then counter. A record that spends
//! freed units therefore lies behind the record that freed them, and every prefix of the log is a valid state.
//!
//! **What one word cannot say** (other lines for a hold, part of a cart) goes through a third phase: the swap that decides
//! makes the word `Changing`, under the next tag; then the lines are written; then the next word is published. The
//! tag is part of the word, so whoever read the lines before swaps in vain after. Whoever meets `Changing` spins, then
//! says `Busy`.
//!
//! **What nobody ships** counts as shipped once [`commitments_kept`](crate::Config::commitments_kept) has passed since its
//! reserve, a time that the log knows and no restart changes. The driver makes rounds over the table of holds for such
//! commitments, sixteen in that time and one right after an opening, some segments a turn; each goes the way of any
//! shipment, by one swap. Its units leave `on_hand` and `committed` together, so nobody who sells notices, and the log has a
//! shipment without an op key. Sales know nothing of it: no timer, no word more in a slot.
//!
//! A late confirm takes the units again *tentatively* (counted as pending) before it swaps the hold, and settles or rolls
//! back after; it is refused if the sale of the key is stopped, since it takes units anew.
//!
//! # Carts
//!
//! Lines on one stock key are added up first (O3). Then lines are taken in the order of their keys, each *tentatively*:
//! counted as pending in the swap that takes it, until all are had; then one position is drawn, the hold becomes visible,
//! and the lines are settled. A cart that comes up short gives back what it took and looks again. Meanwhile its units
//! are pending, so nobody is told sold out because of it (F14). It holds nothing while it looks, so carts never
//! deadlock; nor do they chase each other for ever: of those that hold something, the one furthest on in the order of keys
//! can only be short for good, or not at all.
//!
//! The hold of a cart has one word, one deadline, one outcome. Its lines stand in a chain beside its slot, 16 bytes each;
//! a cart of 2,048 lines takes at most 13 KB of log, in one record, so it is whole or not at all after a crash too.
//!
//! A *replaced* hold takes only what it needs in addition, tentatively, and announces what it needs no more; one swap
//! decides, and both are settled or undone. So it never competes with itself (F4).
//!
//! # When a sale opens
//!
//! A key's gate says open, stopped, or the moment it opens. Each reserve compares that moment with its own time,
//! so all who wait find it open at once, and no thread has to open it.
//!
//! # A decision never waits for another thread
//!
//! It spins for a bounded time and then says `Busy`: units pending, a wheel being turned by a thread that was
//! descheduled, a table being grown by another thread, a full ring, a full table of op keys. Calls with an op key share a map whose shard lock spans one map
//! operation. Physical movements (receive, adjust, ship, the stop switch) of one key are serialised by a lock, one of 64
//! that the keys share; sales never take it. Queries ([`level`](crate::Engine::level), [`holds_of`](crate::Engine::holds_of)) wait for the fold.
//!
//! Free slots are in a stack, those of expired holds in a queue of so many places, where one that comes pushes out the
//! oldest: neither has a step at which a parked thread holds up another.
//!
//! A table grows by one thread at a time, which publishes a segment when it is whole; a reserve that would need it
//! meanwhile takes a slot elsewhere, or is `Busy`.
//!
//! What is left are two calls of the operating system: for the memory of a new segment, and for the wake-up of a sleeping
//! log thread.
//!
//! # Time
//!
//! Engine time follows a steady clock that counts suspension too (`CLOCK_BOOTTIME`), and is steered towards the wall without
//! ever falling: 1/16 slower while ahead, 1/1024 faster while behind, not at all while the wall is more than
//! [`clock_jump_max`](crate::Config::clock_jump_max) ahead, which [`Metrics`](crate::Metrics) says and
//! [`accept_clock`](crate::Engine::accept_clock) accepts. Over a restart of the process it goes on by the machine's uptime;
//! after a start of the machine it is the wall's, never below the last time in the log. The cases are in
//! [`clock`](crate::clock). The wall must say a year from 2020 to 2078.
//!
//! # The log
//!
//! The ring is an array of atomic words; a record's position is where a `fetch_add` put it. Its first word carries its
//! length and publishes the rest. The log thread takes the contiguous prefix, up to one sync window (640 KiB), packs it
//! into chunks of at most 30 KiB and hands them to the store, then flushes and syncs. Waiters compare with the durable
//! position and are woken once a group by a thread of their own.
//!
//! A chunk has 48 bytes of header: magic, format, epoch of the opening, position, words, length, CRC-32, the hash of the
//! chunk before (XXH3), and up to where the log was synced when it was written. The last chunk of a group carries the
//! commit mark. Records are bincode, times in milliseconds since the opening.
//!
//! What happens to a cart is one record with its lines packed: keys as differences, units in the bytes they need, 2 to 9
//! bytes a line. So it happens to all lines or none, whatever tears. The longest record, 2,048 lines replaced by as many
//! others, takes 26.3 KiB at most: it fits a chunk, and the smallest ring beside the share kept for giving back.
//!
//! Segment size and record size were chosen by measurement (`cargo bench -p stockhold-benches --bench log_store`,
//! `--bench engine`): segments
//! of 2 MiB carried most at a full sync window and as much as others at small ones. A hold with an 8-byte reference takes
//! 24 to 32 bytes of log, everything included.
//!
//! ## What sled needs
//!
//! - Its `flush` is no barrier against loss of power: we `fdatasync` its file ourselves, for every group. A failed sync
//!   is never retried; the engine is poisoned.
//! - Values above a segment's share become files that are never synced: chunks stay below, asserted at compile time.
//! - It loses more than its tail when more than a third of a segment is unsynced: the window is bounded.
//! - Its opening writes. After a lost segment it opens *empty, without an error*; one read that fails inside of it makes
//!   it overwrite what it could not read. So a store is opened once, when it is created. Each opening of a directory
//!   begins a fresh one (`log/<number>`), and reads what older ones have as raw chunks: each proves itself by its checksum
//!   and its place in the chain of hashes. What lies behind the last proven position is copied into the fresh store and
//!   synced before it is served, since a failed sync may have left pages that read well and are not on the disk. An older
//!   store goes when the log is cut above it, or when so little of it is needed (8 MiB) that it is copied.
//!
//! # Checkpoints
//!
//! The fold hands each group on to the checkpointer, a thread that lets them gather, as bytes, until there are 64 MiB
//! ([`checkpoint_bytes`](crate::Config::checkpoint_bytes)). Then what the window did is brought together by stock key and by
//! slot, and written as four sorted runs: what was added to each key's book, names, holds, operations with op keys. A
//! hold that was made before the window is written as the records that happened to it; laid over what an older run
//! says, they are applied by the fold's own function, which stays the only definition of what a record means. Runs that
//! have grown alike are merged, so there are few, and what is written is in proportion to what has changed. The live
//! engine is neither stopped nor copied.
//!
//! A manifest names the runs, the position and the hash of the chunk that ends there. Its rename is the only commit: after
//! everything that it names is durable, and after the log is durable up to there. Two manifests are kept, and the
//! log is cut only below the older, by the log thread, a few chunks after each group. So the newest may be damaged and
//! nothing is lost: the one before and more of the log take its place. (A run that both name is not kept twice.)
//!
//! On disk there are then the live state, twice at most while runs are merged, and some windows of log: three while the
//! checkpointer keeps up, up to five while it does not (a window grows to four times its length before the fold is held
//! back). 200 million operations on two cores, 2 million a second, kept 0.35 to 0.6 GiB of log, 0.15 GiB of checkpoints, 0.8
//! to 0.9 GiB of a ledger of twenty seconds, 200,000 commitments of the last five seconds, and 0.45 GiB of memory from the
//! first quarter to the last; a reserve's p99 was 1.0 us, and 1.2 us while a checkpoint was being made; the next opening took
//! 0.3 s (`benches/steady.svg`, drawn by `cargo bench -p stockhold-benches --bench steady -- --plot FILE`). What an
//! opening, a checkpoint of many
//! keys and a verification of a long history take:
//! `cargo bench -p stockhold-benches --bench recovery`, `checkpoint`, `verify`; what many keys
//! that nobody buys take: `--bench keys`.
//!
//! **The ledger** ([`ledger_kept`](crate::Config::ledger_kept)) has the records of the windows as they were, a run each, named
//! by the manifest beside the state's; so it ends where its checkpoint does, and the log comes right behind. Writing it
//! decodes nothing but the first record of each chunk. Openings do not read it, and a damaged file of it stops neither them
//! nor checkpoints. `stockhold log` tells ledger and log as one; `stockhold verify` reads all of it.
//!
//! [`verify`](crate::Engine::verify), and `stockhold verify` for a directory at rest, fold the log from the older
//! checkpoint up to the newer, judge each entry, and compare with what the newer says. A running engine's counters are
//! compared too: each is read while no position is drawn, and the fold says what the book has at that very position. What
//! is taken and not yet in the log can only be missing from the counter, so one that has more is wrong, and one that
//! has less is looked at again.
//!
//! # What is kept, and for how long
//!
//! | what | where | until | bounded by |
//! |---|---|---|---|
//! | live hold | a slot, 32 bytes, and its reference, 40; 16 a line of a cart; its entry in checkpoints | its deadline | `holds_max`, `lines_max`, `life_max` |
//! | expired hold | the same | so many have expired after it, or its room is needed | `expired_kept` |
//! | commitment: confirmed, not shipped or cancelled | the same | it is, or its time is over | `commitments_kept`, `holds_max` |
//! | released, cancelled, shipped hold | its slot, which is free; its last entry in checkpoints | another has the slot | `holds_max`; as many slots as were ever in use at once |
//! | op key with its answer | memory; its record in checkpoints | so long after its use, twice if its maker's clock is ahead | `op_key_retention`, `op_keys_max` |
//! | stock key | some 32 bytes, 12 for its names, the text of a SKU once for keys in a row; checkpoints | for ever | how many are declared |
//! | log | disk; `ring_bytes` and a window or more in memory | the older of two checkpoints has it | `checkpoint_bytes`: three windows, more while the disk is behind |
//! | checkpoints | disk | two later ones | the state above, twice while runs are merged |
//! | ledger | disk | its time is over, or its bytes | `ledger_kept`, `ledger_bytes_max` |
//!
//! By default commitments are kept until somebody ships them and no ledger is. So a shop that never ships sets
//! `commitments_kept`, and who wants to explain a unit after its last checkpoint sets `ledger_kept`.
//!
//! # What a crash can leave, and what opening does
//!
//! An opening looks at everything before it changes anything, and decides by this table; [`OpenReport`](crate::OpenReport)
//! says what was found and done. Each row is a test of that name in `tests/recovery_table.rs`.
//!
//! | found | done |
//! |---|---|
//! | nothing, or an unfinished creation | created |
//! | clean: all of it up to an orderly close | opened, from the newest checkpoint on |
//! | not closed in order: whole groups past what the sidecar vouches for, a sync that may have failed | opened; what lies behind the last proven position is copied into a fresh store and synced first, since a failed sync may have left pages that read well and are not on the disk |
//! | torn tail: the last group not whole, nothing acknowledged behind it | cut, and reported |
//! | the last group lost before anybody vouched for it | opened without it |
//! | corrupt newest checkpoint: its manifest, or a run that is damaged or missing | the one before it, and more of the log; reported |
//! | newest manifest missing | the same; there is nothing left to report |
//! | no checkpoint usable, and the log whole from its beginning | all of the log replayed; reported |
//! | log emptied, and the checkpoint has everything the sidecar vouches for | opened |
//! | a file of the ledger damaged or missing | opened, and not looked at; `verify` of the directory at rest names the first position |
//! | leftovers: an unfinished manifest, a third one, runs that none names, stores with nothing that is needed | removed; those of checkpoints are counted |
//! | folders that somebody has put beside ours | left alone; one with a store's name goes with the stores |
//! | a chunk of an older opening behind a cut | never taken for a later one: epochs |
//! | copies of an opening that was killed | not believed, copied again: a store has the number of its opening, and the sidecar says which came to their end |
//! | damage that the sidecar vouches for | refused: position named |
//! | corrupt middle: damage that only the log behind it vouches for | refused: position named |
//! | a chunk whose entries do not fill it | refused: position named |
//! | no checkpoint usable, and the log cut | refused: says what is wrong with each |
//! | log missing, after an orderly close with a checkpoint that has everything: a backup, say | opened |
//! | log missing otherwise | refused: a folder does not go by itself; a salvage says whether anything is lost |
//! | log emptied, though the sidecar promises more | refused: both positions named |
//! | identity or sidecar missing or damaged | refused, says which |
//! | part of the directory from another copy | refused |
//! | newer identity, chunk, sidecar, manifest or run | refused, says which; a format that no checksum vouches for is damage, but for the identity's |
//! | another program's directory, or one in use | refused, says what or by whom |
//! | crashes at any step of an opening, a checkpoint or a cut, two in a row | as after one: each step leaves the next opening the same to decide on |
//!
//! What is refused is left as it was found, however long its log. A running engine makes no checkpoint once its directory was
//! moved away: another may be in its place.
//! [`salvage`](crate::salvage) brings what can be proven of it into a new directory.
//!
//! An id of a hold that a crash took back (told to nobody as durable) is not mistaken for the hold that uses its slot
//! next: the id's keyed hash takes in the opening, modulo 16.
//!
//! A log whose records contradict each other, or name what no operation can do, is refused at the position of the first,
//! checksums or not.
//!
//! Shown by `tests/power_cuts.sh`, on a disk that makes durable only what was synced, names apart from contents; by
//! `tests/kills.sh`; and by the simulation (`src/simulation`, `tests/simulate.sh`), which crashes the engine between any
//! two calls to a disk that fails in every way it can, and audits each recovery against everything that was acknowledged.
//!
//! # Formats, and going on to a later one
//!
//! Identity, chunk, sidecar, manifest and run each carry the number of their format, all 1 now. A build reads every
//! format that an earlier one has written, and writes only the newest; a later number is refused with its name, and
//! nothing is changed. The kinds of records and of entries are only ever added to, at the end. So an upgrade is: close,
//! make a copy, open with the later build; there is no way back but the copy, once the later build has written. Directories
//! of each format are kept under `tests/golden`, and every build opens them and reads what they said.
//!
//! # When the log fails
//!
//! A failed append or sync poisons: the ring is closed, so no operation finds room; every waiter learns that its outcome
//! is *unknown* (ask again with the same op key after reopening); nothing is given back; reads go on, and
//! [`level`](crate::Engine::level) stays at the last position that was written.
//!
//! Each of the engine's system calls has been made to fail at each of its times, and a full ext4, a thin volume and a file
//! system that turns read-only have been met (`tests/disk_trouble`). A checkpoint that fails is tried again and stops
//! nothing; [`Metrics`](crate::Metrics) says why.
//!
//! # Orderings
//!
//! Each is explained where it stands, and the protocols that rest on them are explored by loom on this code
//! (`tests/loom.sh`; the list of properties heads `src/proofs/loom/mod.rs`), which also finds the bugs that
//! `src/fault.rs` plants.
//!
//! In short: the counter's swaps are `AcqRel`, so who sees units also sees the position
//! drawn before they were given; a hold's fields are published by its word; the ring's words by its header, and their
//! zeroing by the `used` counter; the timers' three steps (queue, lower, take) and a turn's (reset, drain) are `SeqCst`,
//! because each side writes one word and then reads the other's; the log thread's sleep is a pair of `SeqCst` fences for
//! the same reason.
//!
//! # Choices where nothing was prescribed
//!
//! - **The fold runs beside the engine** and answers for levels and references; the sales path keeps neither. A level is
//!   of one position, and waits for the log to reach what its caller was answered.
//! - **Expired holds keep their slot for a while** ([`expired_kept`](crate::Config::expired_kept)), released ones do not:
//!   a late payment meets an expired hold; whoever released knows it.
//! - **In memory** the ring and the fold work as always and the log thread keeps nothing, so that one code path is tested.
//! - **A refusal's position** is behind everything drawn when it was decided. A take whose thread has not drawn its
//!   position yet may lie behind it; its units count as held all the same.
//! - **A cart's refusal names one line**, the first that is short in the order of keys, with its quantities added up.
//! - **A hold that is replaced keeps its id.** Its slot counts uses, which the id's generation and the word's tag are taken
//!   from; a replacement moves the tag on and not the generation.
//! - **A refusal because of the gate** says roughly what is available: an exact number would gather a prepared key for each
//!   early buyer.
//! - **An extension to an earlier deadline** changes nothing and succeeds: a hold never gets less time.
//!
//! # Causes, and the tests named after them
//!
//! Systems of this kind oversell (O) and refuse falsely (F) for a few causes. Comments and tests name them:
//!
//! | | false refusal | | oversell |
//! |---|---|---|---|
//! | F1 | a sold-out flag that is never cleared | O1 | check and act are separate steps |
//! | F2 | one big request poisons the small ones after it | O2 | an update of a counter is lost |
//! | F3 | the caller's bucket is empty while others hold stock | O3 | the same item on two lines of a cart, each tested against all stock |
//! | F4 | the caller's own earlier hold counts against the caller | O4 | a compensation half done |
//! | F5 | an expired hold that nobody has swept counts | O5 | released twice: by expiry and by hand |
//! | F7 | holds leak in a crash | O6 | off by one at the last unit |
//! | F8 | "being aligned" is answered as a failure | O7 | a lock is skipped as an optimisation |
//! | F9 | a lock times out, a pool runs dry | O9 | confirmed after the deadline, when the units were sold again |
//! | F10 | a derived counter drifts | O10 | two sources of truth |
//! | F11 | units on their way back count as absent | O11 | a negative or overflowing quantity |
//! | F13 | two takers each take half of the rest, and both give up | | |
//! | F14 | a cart that rolls back makes another request fail meanwhile | | |
//! | | | O12 | stock is reset during the sale |
//! | | | O13 | the log keeps a reserve and loses the release whose units it spent |
//!
//! # Sources
//!
//! Splitting a counter over cells: Doug Lea's LongAdder (2011), which has no exact reading; freezing cells so that helpers
//! agree on a sum: Braginsky and Petrank, *Locality-conscious lock-free linked lists* (2011). Escrow counters with pending operations: O'Neil, *The escrow transactional method* (1986). Hierarchical wheels:
//! Varghese and Lauck (1987). Group commit: DeWitt et al. (1984). The stack with a tag: Treiber (1986). SipHash: Aumasson and
//! Bernstein (2012).

pub mod where_time_goes {
    #![doc = include_str!("design/where_time_goes.md")]
}

pub mod growth {
    #![doc = include_str!("design/growth.md")]
    #![doc = include_str!("design/growth.svg")]
}

pub mod tuning {
    #![doc = include_str!("design/tuning.md")]
}
